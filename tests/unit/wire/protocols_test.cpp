// The protocols: exact bytes, defaults, and all of them against the oracle.

#include <gtest/gtest.h>

#include "unit/wire/wire_support.h"
#include "wire/arp.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/icmpv4.h"
#include "wire/icmpv6.h"
#include "wire/igmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/mld.h"
#include "wire/udp.h"
#include "wire/vlan.h"

namespace fastudp {
namespace {

constexpr mac_address mac_a = {{0x02, 0, 0, 0, 0, 0x0a}};
constexpr mac_address mac_b = {{0x02, 0, 0, 0, 0, 0x0b}};
constexpr ipv4_address host_a = {{10, 0, 0, 1}};
constexpr ipv4_address host_b = {{10, 0, 0, 2}};

template <typename T>
octet_string stored(const T& value) {
  octet_string out(fixed_size<T> + 64, std::byte{0xee});
  const auto m = store(value, out);
  out.resize(m ? m->size() : 0);
  return out;
}

template <typename T>
void expect_bytes(const T& value, const char* text) {
  EXPECT_EQ(stored(value), hex(text));
  const octet_string bytes = hex(text);
  EXPECT_TRUE(view<T>::parse(bytes)->value() == value);
}

TEST(protocols, ethernet_bytes) {
  EXPECT_EQ(fixed_size<ethernet>, 14u);
  expect_bytes(ethernet{.destination = mac_b, .source = mac_a, .type = ether_type::arp},
               "02 00 00 00 00 0b 02 00 00 00 00 0a 08 06");
}

TEST(protocols, vlan_bytes) {
  EXPECT_EQ(fixed_size<vlan>, 4u);
  expect_bytes(vlan{.pcp = 3, .vid = 100, .type = ether_type::ipv4}, "60 64 08 00");
  expect_bytes(vlan{.pcp = 7, .dei = 1, .vid = 4095, .type = ether_type::ipv6}, "ff ff 86 dd");
}

TEST(protocols, arp_bytes) {
  EXPECT_EQ(fixed_size<arp>, 28u);
  expect_bytes(arp{.sender_mac = mac_a, .sender_address = host_a, .target_address = host_b},
               "00 01 08 00 06 04 00 01 02 00 00 00 00 0a 0a 00 00 01 00 00 00 00 00 00 0a 00 00 02");
  expect_bytes(arp{.operation = arp_operation::reply,
                   .sender_mac = mac_b,
                   .sender_address = host_b,
                   .target_mac = mac_a,
                   .target_address = host_a},
               "00 01 08 00 06 04 00 02 02 00 00 00 00 0b 0a 00 00 02 02 00 00 00 00 0a 0a 00 00 01");
}

TEST(protocols, ipv4_bytes) {
  EXPECT_EQ(fixed_size<ipv4>, 20u);
  expect_bytes(ipv4{.dscp = 46,
                    .ecn = 3,
                    .total_length = 28,
                    .identification = 0x1234,
                    .flags = ipv4::dont_fragment,
                    .protocol = ip_protocol::udp,
                    .checksum = 0xabcd,
                    .source = host_a,
                    .destination = host_b},
               "45 bb 00 1c 12 34 40 00 40 11 ab cd 0a 00 00 01 0a 00 00 02");
  expect_bytes(ipv4{.flags = ipv4::more_fragments, .fragment_offset = 8191, .ttl = 1, .protocol = ip_protocol::icmp},
               "45 00 00 00 00 00 3f ff 01 01 00 00 00 00 00 00 00 00 00 00");
}

TEST(protocols, ipv6_bytes) {
  EXPECT_EQ(fixed_size<ipv6>, 40u);
  const ipv6_address a{{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
      b{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
  expect_bytes(ipv6{.first = ipv6::first_word(0xb8, 0x12345),
                    .payload_length = 8,
                    .next_header = ip_protocol::udp,
                    .hop_limit = 255,
                    .source = a,
                    .destination = b},
               "6b 81 23 45 00 08 11 ff fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01"
               " fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 02");
  expect_bytes(ipv6_fragment{.next_header = ip_protocol::udp, .place = 1448 | ipv6_fragment::more, .identification = 7},
               "11 00 05 a9 00 00 00 07");
  expect_bytes(neighbour_advertisement{.solicited = 1, .override_flag = 1, .target = a},
               "88 00 00 00 60 00 00 00 fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01");
  expect_bytes(router_solicitation{.checksum = 0x1234}, "85 00 12 34 00 00 00 00");
  expect_bytes(router_advertisement{.hop_limit = 64,
                                    .managed = 1,
                                    .other = 0,
                                    .lifetime = 1800,
                                    .reachable_time = 30000,
                                    .retransmit_timer = 1000},
               "86 00 00 00 40 80 07 08 00 00 75 30 00 00 03 e8");
  expect_bytes(nd_prefix_option{.prefix_length = 64,
                                .on_link = 1,
                                .autonomous = 0,
                                .valid_lifetime = 86400,
                                .preferred_lifetime = 14400,
                                .prefix = a},
               "03 04 40 80 00 01 51 80 00 00 38 40 00 00 00 00 fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01");
  expect_bytes(nd_mtu_option{.mtu = 1400}, "05 01 00 00 00 00 05 78");
  expect_bytes(nd_link_layer_option{.type = nd_option_type::target_link_layer, .mac = mac_a},
               "02 01 02 00 00 00 00 0a");
}

TEST(protocols, ipv4_defaults) {
  const ipv4 header;
  EXPECT_EQ(header.version, 4);
  EXPECT_EQ(header.ihl, 5);
  EXPECT_EQ(header.ttl, 64);
  EXPECT_EQ(stored(header), hex("45 00 00 00 00 00 00 00 40 00 00 00 00 00 00 00 00 00 00 00"));
}

TEST(protocols, ipv4_options_bytes) {
  ipv4 header{.ihl = 6, .protocol = ip_protocol::igmp};
  header.options.content = {std::byte{0x94}, std::byte{4}};  // router alert
  expect_bytes(header, "46 00 00 00 00 00 00 00 40 02 00 00 00 00 00 00 00 00 00 00 94 04 00 00");
}

TEST(protocols, ipv4_header_length_decides) {
  for (unsigned ihl = 0; ihl < 16; ++ihl) {
    for (std::size_t length = 0; length <= 64; ++length) {
      octet_string bytes(length);
      if (length > 0) bytes[0] = static_cast<std::byte>(0x40 | ihl);
      const auto v = view<ipv4>::parse(bytes);
      ASSERT_EQ(v.has_value(), ihl >= 5 && ihl * 4 <= length) << ihl << ' ' << length;
      if (!v) continue;
      EXPECT_EQ(v->size(), ihl * 4);
      EXPECT_EQ(v->get<&ipv4::options>().size(), ihl * 4 - 20);
      EXPECT_EQ(v->payload().size(), length - ihl * 4);
    }
  }
}

TEST(protocols, ipv4_impossible_header_length_is_not_stored) {
  octet_string bytes(60, std::byte{0xee});
  EXPECT_FALSE(store(ipv4{.ihl = 4}, bytes));
  EXPECT_FALSE(store(ipv4{.ihl = 15}, std::span(bytes).first(59)));
  EXPECT_EQ(bytes, octet_string(60, std::byte{0xee}));
  EXPECT_TRUE(store(ipv4{.ihl = 15}, bytes));
}

TEST(protocols, icmpv4_bytes) {
  EXPECT_EQ(fixed_size<icmpv4>, 8u);
  expect_bytes(icmpv4{.type = icmpv4_type::time_exceeded, .code = 1, .checksum = 0xf4fe, .rest = 0x01020304},
               "0b 01 f4 fe 01 02 03 04");
  expect_bytes(icmpv4_echo{.checksum = 1, .identifier = 0x1234, .sequence = 2}, "08 00 00 01 12 34 00 02");
  expect_bytes(icmpv4_unreachable{.code = icmpv4_unreachable_code::fragmentation_needed, .next_hop_mtu = 1280},
               "03 04 00 00 00 00 05 00");
}

TEST(protocols, udp_bytes) {
  EXPECT_EQ(fixed_size<udp>, 8u);
  expect_bytes(udp{.source_port = 53, .destination_port = 40000, .length = 8, .checksum = 0xbeef},
               "00 35 9c 40 00 08 be ef");
}

// RFC 3376 4.1.1, RFC 3810 5.1.3.
TEST(protocols, times_of_queries) {
  EXPECT_EQ(from_exponent_code(u<8>(0)), 0u);
  EXPECT_EQ(from_exponent_code(u<8>(127)), 127u);
  EXPECT_EQ(from_exponent_code(u<8>(0x80)), 0x10u << 3);
  EXPECT_EQ(from_exponent_code(u<8>(0xff)), 0x1fu << 10);
  EXPECT_EQ(from_exponent_code(u<16>(32'767)), 32'767u);
  EXPECT_EQ(from_exponent_code(u<16>(0x8000)), 0x1000u << 3);
  EXPECT_EQ(from_exponent_code(u<16>(0xffff)), 0x1fffu << 10);
}

TEST(protocols, a_whole_frame_is_walked) {
  const octet_string frame =
      hex("02 00 00 00 00 0b 02 00 00 00 00 0a 08 00 "
          "45 00 00 1e 00 00 40 00 40 11 26 cd 0a 00 00 01 0a 00 00 02 "
          "30 39 00 35 00 0a 53 00 68 69 00 00");
  const auto link = view<ethernet>::parse(frame);
  ASSERT_TRUE(link && link->get<&ethernet::type>() == ether_type::ipv4);
  const auto network = view<ipv4>::parse(link->payload());
  ASSERT_TRUE(network && network->get<&ipv4::protocol>() == ip_protocol::udp);
  EXPECT_TRUE(verify_checksum(network->header()));
  const auto transport = view<udp>::parse(network->payload());
  ASSERT_TRUE(transport);
  checksum_sum sum = pseudo_header_sum(network->get<&ipv4::source>(), network->get<&ipv4::destination>(), 17, 10);
  sum.add(network->payload().first(10));  // what follows pads the frame
  EXPECT_TRUE(sum.verifies());
  EXPECT_EQ(transport->get<&udp::source_port>(), 12345);
  EXPECT_EQ(transport->get<&udp::destination_port>(), 53);
  EXPECT_EQ(transport->payload()[0], std::byte{'h'});
}

template <typename T>
class every_protocol : public testing::Test {
 public:
  static octet_string packet(random_source& random) {
    octet_string out = random_bytes(random, fixed_size<T> + 60);
    if constexpr (std::is_same_v<T, ipv4>) {
      out[0] = static_cast<std::byte>(random.below(16) << 4 | (5 + random.below(11)));
    }
    return out;
  }
};
using protocols =
    testing::Types<ethernet, vlan, arp, ipv4, icmpv4, icmpv4_echo, icmpv4_unreachable, udp, ipv6, ipv6_extension,
                   ipv6_fragment, icmpv6, router_solicitation, router_advertisement, neighbour_solicitation,
                   neighbour_advertisement, nd_option, nd_prefix_option, nd_mtu_option, nd_link_layer_option, igmp,
                   igmpv3_query, igmpv3_report, igmpv3_record, mld, mldv2_query, mldv2_report, mldv2_record>;
TYPED_TEST_SUITE(every_protocol, protocols);

TYPED_TEST(every_protocol, a_million_random_gets_and_sets) {
  constexpr auto list = fields<TypeParam>();
  constexpr auto access = accessors<TypeParam>();
  random_source random(5);
  octet_string bytes = this->packet(random);
  octet_string expected = bytes;
  const auto m = *mutable_view<TypeParam>::parse(bytes);
  for (int round = 0; round < 1'000'000; ++round) {
    const std::size_t i = random.below(list.size());
    const any_number value = cut_to(any_number{random.next()} << 64 | random.next(), list[i].width);
    oracle_set(expected, list[i], value);
    access[i].set(m, value);
    const std::size_t k = random.below(list.size());
    ASSERT_TRUE(access[k].get(m) == oracle_get(expected, list[k])) << list[k].name;
    ASSERT_TRUE(round % 16 != 0 || bytes == expected) << list[i].name;
  }
  EXPECT_EQ(bytes, expected);
}

TYPED_TEST(every_protocol, every_pattern_of_every_small_field) {
  constexpr auto list = fields<TypeParam>();
  constexpr auto access = accessors<TypeParam>();
  random_source random(6);
  octet_string bytes = this->packet(random);
  const auto m = *mutable_view<TypeParam>::parse(bytes);
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i].width > 16) continue;
    const octet_string before = bytes;
    const any_number original = access[i].get(m);
    for (std::uint64_t value = 0; value < std::uint64_t{1} << list[i].width; ++value) {
      access[i].set(m, value);
      ASSERT_TRUE(access[i].get(m) == value) << list[i].name;
      ASSERT_TRUE(oracle_get(bytes, list[i]) == value) << list[i].name;
    }
    access[i].set(m, original);
    EXPECT_EQ(bytes, before) << list[i].name;
  }
}

TYPED_TEST(every_protocol, value_and_store_give_the_same_bytes) {
  random_source random(7);
  for (int round = 0; round < 10'000; ++round) {
    const octet_string bytes = this->packet(random);
    const auto v = *view<TypeParam>::parse(bytes);
    const TypeParam value = v.value();
    const octet_string copy = stored(value);
    ASSERT_EQ(copy, octet_string(v.header().begin(), v.header().end()));
    ASSERT_TRUE(view<TypeParam>::parse(copy)->value() == value);
  }
}

TYPED_TEST(every_protocol, values_differ_when_any_bit_does) {
  random_source random(8);
  octet_string bytes = this->packet(random);
  const TypeParam value = view<TypeParam>::parse(bytes)->value();
  for (std::size_t bit = 0; bit < fixed_size<TypeParam> * 8; ++bit) {
    octet_string other = bytes;
    other[bit / 8] ^= static_cast<std::byte>(0x80 >> bit % 8);
    const auto v = view<TypeParam>::parse(other);
    EXPECT_FALSE(v && v->value() == value) << bit;
  }
}

TYPED_TEST(every_protocol, short_packets_are_refused) {
  random_source random(9);
  octet_string bytes = this->packet(random);
  for (std::size_t length = 0; length < fixed_size<TypeParam>; ++length) {
    EXPECT_FALSE(view<TypeParam>::parse(std::span(bytes).first(length)));
    EXPECT_FALSE(store(TypeParam{}, std::span(bytes).first(length)));
  }
}

}  // namespace
}  // namespace fastudp
