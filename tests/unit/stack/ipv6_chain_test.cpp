// Walking an IPv6 packet's chain of headers: every header's own way to end it, and bounds.

#include "stack/ipv6_chain.h"

#include <gtest/gtest.h>

#include <string>

#include "unit/wire/wire_support.h"

namespace fastudp {
namespace {

using end = ipv6_chain::end;

constexpr char hop_by_hop = 0, routing = 43, fragment = 44, icmp = 58, nothing = 59, options = 60, udp_number = 17;

// An IPv6 header whose next is `first`, and what follows.
std::string packet(char first, const std::string& rest) {
  std::string out(40, '\0');
  out[0] = 0x60;
  out[5] = static_cast<char>(rest.size());
  out[6] = first;
  return out + rest;
}

// An extension header of eight bytes.
std::string header(char next, const std::string& six) { return std::string{next, '\0'} + six; }
const std::string padding{1, 4, 0, 0, 0, 0};

ipv6_chain walked(const std::string& bytes) { return walk(std::as_bytes(std::span(bytes))); }

TEST(ipv6_chain, without_extensions_the_upper_header_follows) {
  const auto found = walked(packet(udp_number, "datagram"));
  EXPECT_EQ(found.how, end::upper);
  EXPECT_EQ(found.protocol, ip_protocol::udp);
  EXPECT_EQ(found.offset, 40u);
  EXPECT_EQ(found.named_at, 6u);
}

TEST(ipv6_chain, known_extensions_are_passed) {
  const std::string chain = header(options, padding) + header(routing, padding) +
                            header(udp_number, std::string{0, 0, 0, 0, 0, 0}) + "datagram";
  const auto found = walked(packet(hop_by_hop, chain));
  EXPECT_EQ(found.how, end::upper);
  EXPECT_EQ(found.protocol, ip_protocol::udp);
  EXPECT_EQ(found.offset, 64u);
  EXPECT_EQ(found.named_at, 56u);
}

TEST(ipv6_chain, a_fragment_header_ends_it_and_it_goes_on_behind) {
  const std::string bytes =
      packet(options, header(fragment, padding) + std::string{udp_number, 0, 0, 1, 0, 0, 0, 9} + "x");
  const auto found = walked(bytes);
  EXPECT_EQ(found.how, end::fragment);
  EXPECT_EQ(found.offset, 48u);
  EXPECT_EQ(found.named_at, 40u);
  const auto rest = walk(std::as_bytes(std::span(bytes)), behind(found, ip_protocol::udp));
  EXPECT_EQ(rest.how, end::upper);
  EXPECT_EQ(rest.offset, 56u);
}

TEST(ipv6_chain, no_next_header_and_cut_chains_are_nothing) {
  EXPECT_EQ(walked(packet(nothing, "ignored")).how, end::nothing);
  EXPECT_EQ(walked("short").how, end::nothing);
  EXPECT_EQ(walked(packet(options, "seven..")).how, end::nothing);
  std::string beyond = header(udp_number, padding);
  beyond[1] = 1;  // sixteen bytes, of which eight are there
  EXPECT_EQ(walked(packet(options, beyond)).how, end::nothing);
  EXPECT_EQ(walked(packet(options, header(udp_number, std::string{1, 5, 0, 0, 0, 0}))).how, end::nothing);
  std::string endless;
  for (int i = 0; i < 9; ++i) endless += header(options, padding);
  EXPECT_EQ(walked(packet(options, endless)).how, end::nothing);
}

// RFC 8200 4.2: the two highest bits of an option that isn't known.
TEST(ipv6_chain, unknown_options_say_what_to_do) {
  const auto with = [](unsigned char type) {
    return walked(packet(options, header(udp_number, std::string{static_cast<char>(type), 2, 0, 0, 0, 0})));
  };
  EXPECT_EQ(with(0x1e).how, end::upper);
  EXPECT_EQ(with(0x5e).how, end::option);
  for (const unsigned char type : {0x9e, 0xde}) {
    const auto found = with(type);
    EXPECT_EQ(found.how, end::problem);
    EXPECT_EQ(found.code, 2);
    EXPECT_EQ(found.pointer, 42u);
    EXPECT_EQ(found.tell_if_group, type == 0x9e);
  }
}

TEST(ipv6_chain, a_routing_header_with_segments_left_is_a_problem) {
  const auto found = walked(packet(routing, header(udp_number, std::string{0, 1, 0, 0, 0, 0})));
  EXPECT_EQ(found.how, end::problem);
  EXPECT_EQ(found.code, 0);
  EXPECT_EQ(found.pointer, 42u);
}

TEST(ipv6_chain, hop_by_hop_options_come_first_or_not_at_all) {
  const auto found = walked(packet(options, header(hop_by_hop, padding) + header(udp_number, padding)));
  EXPECT_EQ(found.how, end::problem);
  EXPECT_EQ(found.code, 1);
  EXPECT_EQ(found.pointer, 40u);
}

TEST(ipv6_chain, other_protocols_are_upper_headers) {
  EXPECT_EQ(walked(packet(icmp, "")).protocol, ip_protocol::icmpv6);
}

}  // namespace
}  // namespace fastudp
