// IPv4-mapped addresses in IPv6 packets (RFC 4942 2.2), and neighbour discovery in fragments (RFC 6980): ways by which
// one protocol would change what belongs to another.

#include <gtest/gtest.h>

#include "support/node.h"
#include "support/repair.h"
#include "wire/mld.h"

namespace fastudp::test {
namespace {

constexpr std::uint8_t own_hop_limit = 255;

struct host : node {
  host() : node(1) { EXPECT_TRUE(below->add_address({us, 64}, now)); }

  // Checksums are filled in.
  void hear_v6(std::string_view ipv6) {
    std::string frame = ethernet_frame(device.info().mac, mac_of(2), ether_type::ipv6, ipv6);
    repair(octets(frame));
    hear_frame(frame);
  }
  template <typename Message>
  void hear_nd(const Message& message, nd_option_type type, bool in_fragment_header = false) {
    const std::string body = packet_of(message, packet_of(nd_link_layer_option{.type = type, .mac = mac_of(66)}, ""));
    std::string plain = ipv6_packet(peer, us, ip_protocol::icmpv6, body, own_hop_limit);
    std::string frame = ethernet_frame(device.info().mac, mac_of(2), ether_type::ipv6, plain);
    repair(octets(frame));
    if (!in_fragment_header) return hear_frame(frame);
    const std::string summed = frame.substr(fixed_size<ethernet> + fixed_size<ipv6>);
    hear_v6(ipv6_packet(peer, us, ip_protocol::fragment,
                        packet_of(ipv6_fragment{.next_header = ip_protocol::icmpv6}, summed), own_hop_limit));
  }
  mac_address mac_known_of(const ip_address& address) {
    const neighbour* n = below->find_neighbour(address);
    return n != nullptr ? n->mac : mac_address{};
  }

  const ip_address us = ip("fd00::1"), peer = ip("fd00::2"), us_v4 = ip("10.0.0.1"), peer_v4 = ip("10.0.0.2");
};

TEST(mapped, a_datagram_by_ipv6_is_not_for_an_ipv4_address) {
  host h;
  udp_socket& bound = h.open("10.0.0.1", 53);
  udp_socket& any = h.open("0.0.0.0", 54);
  for (const std::uint16_t port : {std::uint16_t{53}, std::uint16_t{54}, std::uint16_t{55}}) {
    const flow where{{h.us_v4, port}, {h.peer, 9}};
    h.hear_v6(ipv6_packet(h.peer, h.us_v4, ip_protocol::udp, udp_segment(where, "odd")));
  }
  EXPECT_EQ(receive(bound), std::nullopt);
  EXPECT_EQ(receive(any), std::nullopt);
  EXPECT_EQ(h.drops(drop::not_for_us), 3u);
  EXPECT_TRUE(h.device.take_sent().empty());
}

TEST(mapped, an_advertisement_does_not_move_an_ipv4_neighbour) {
  host h;
  udp_socket& s = h.open("10.0.0.1", 53);
  EXPECT_TRUE(h.send(s, "who is there", {h.peer_v4, 9}));
  h.hear_frame(arp_frame(h.device.info().mac, {.operation = arp_operation::reply,
                                               .sender_mac = mac_of(2),
                                               .sender_address = h.peer_v4.ipv4(),
                                               .target_mac = h.device.info().mac,
                                               .target_address = h.us_v4.ipv4()}));
  ASSERT_EQ(h.mac_known_of(h.peer_v4), mac_of(2));
  h.now += 2 * second;
  h.hear_nd(neighbour_advertisement{.solicited = 1, .override_flag = 1, .target = h.peer_v4.ipv6()},
            nd_option_type::target_link_layer);
  EXPECT_EQ(h.mac_known_of(h.peer_v4), mac_of(2));
  EXPECT_EQ(h.drops(drop::icmp_malformed), 1u);
}

TEST(mapped, nobody_solicits_an_ipv4_address) {
  host h;
  h.hear_nd(neighbour_solicitation{.target = h.us_v4.ipv6()}, nd_option_type::source_link_layer);
  h.hear_nd(neighbour_advertisement{.override_flag = 1, .target = h.us_v4.ipv6()}, nd_option_type::target_link_layer);
  EXPECT_TRUE(h.device.take_sent().empty());
  EXPECT_EQ(h.count.address_conflicts.get(), 0u);
  EXPECT_EQ(h.drops(drop::icmp_malformed), 2u);
}

// RFC 2236 3: an IGMP report of another host is what makes ours needless, and MLD's is none.
TEST(mapped, mld_does_not_silence_igmp) {
  host h;
  udp_socket& s = h.open("0.0.0.0", 53);
  const ip_address group = ip("239.1.2.3");
  EXPECT_TRUE(s.groups().join(group));
  EXPECT_TRUE(h.sockets.listen(s, group, h.now));
  std::string query = packet_of(igmp{.max_response = 100, .group = group.ipv4()}, "");
  std::string frame = ethernet_frame(
      h.device.info().mac, mac_of(2), ether_type::ipv4,
      ip_packet({.ttl = 1, .protocol = ip_protocol::igmp, .source = h.peer_v4.ipv4(), .destination = group.ipv4()},
                query));
  repair(octets(frame));
  h.hear_frame(frame);
  h.device.take_sent();
  const std::string alert("\x3a\0\5\2\0\0\1\0", 8);
  for (const auto type : {icmpv6_type::listener_report, icmpv6_type::listener_query}) {
    const mld message{.type = as<icmpv6_type, 8>(type), .group = group.ipv6()};
    h.hear_v6(ipv6_packet(ip("fe80::2"), h.us, ip_protocol::hop_by_hop, alert + packet_of(message, ""), 1));
  }
  EXPECT_EQ(h.drops(drop::group_message), 2u);
  h.run_at(h.now + 11 * second);
  EXPECT_EQ(h.device.take_sent().size(), 1u);
}

TEST(mapped, an_error_about_ipv6_says_nothing_of_an_ipv4_path) {
  host h;
  udp_socket both(h.sockets, ip_family::v6);
  EXPECT_TRUE(both.bind({ip_address(), 53}));
  const flow sent{{h.peer_v4, 9}, {h.us, 53}};  // from the receiver's point of view
  const std::string quoted = ipv6_packet(h.us, h.peer_v4, ip_protocol::udp, udp_segment(sent, "never sent"));
  h.hear_v6(ipv6_packet(h.peer, h.us, ip_protocol::icmpv6,
                        packet_of(icmpv6{.type = icmpv6_type::packet_too_big, .rest = 1280}, quoted)));
  EXPECT_EQ(h.below->path_mtu().size(h.now), 0u);
  EXPECT_EQ(h.drops(drop::icmp_unmatched), 1u);
}

TEST(rfc6980, neighbour_discovery_is_not_heard_in_a_fragment_header) {
  for (const bool cut : {false, true}) {
    host h;
    h.hear_nd(neighbour_solicitation{.target = h.us.ipv6()}, nd_option_type::source_link_layer, cut);
    EXPECT_EQ(h.device.take_sent().size(), cut ? 0u : 1u);
    EXPECT_EQ(h.mac_known_of(h.peer), cut ? mac_address{} : mac_of(66));
    EXPECT_EQ(h.drops(drop::icmp_ignored), cut ? 1u : 0u);
  }
}

}  // namespace
}  // namespace fastudp::test
