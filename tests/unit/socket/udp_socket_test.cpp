// One UDP socket: binding, connecting, sending. The time and the wire are in the test's hand.

#include "socket/udp_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cerrno>
#include <string>
#include <vector>

#include "support/node.h"

namespace fastudp {
namespace {

using test::ip;
using test::look_at;
using test::mac_of;
using test::node;
using test::octets;
using test::seen;
using testing::ElementsAre;

constexpr endpoint_address peer{node::address_of(9), 999};

class udp : public testing::Test {
 protected:
  udp() { host_.know(9); }

  std::vector<seen> sent() {
    std::vector<seen> out;
    for (const std::string& frame : host_.device.take_sent()) out.push_back(look_at(frame));
    return out;
  }
  seen only_one_sent() {
    const auto all = sent();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? seen{} : all[0];
  }
  void arrives(const flow& where, std::string_view payload) { host_.hear(test::udp_packet(where, payload)); }
  void port_is_unreachable(const flow& about, std::string_view payload = "sent") {
    const flow other_way{about.remote, about.local};
    host_.hear(test::icmp_error(about.remote.address, about.local.address, icmpv4_type::unreachable, 3,
                                test::udp_packet(other_way, payload)));
  }
  // Takes all ephemeral ports but those that are taken already.
  std::vector<std::unique_ptr<udp_socket>> take_every_ephemeral_port() {
    std::vector<std::unique_ptr<udp_socket>> all;
    do all.push_back(std::make_unique<udp_socket>(host_.sockets));
    while (all.back()->bind({ipv4_address{}, 0}));
    return all;
  }

  node host_{1};
};

// ---- Binding

TEST_F(udp, an_unbound_socket_has_no_address) {
  udp_socket& s = host_.open();
  EXPECT_EQ(s.local(), (endpoint_address{.address = ipv4_address{}}));
  EXPECT_EQ(s.peer(), endpoint_address{});
  EXPECT_FALSE(s.is_connected());
}

TEST_F(udp, binds_to_what_is_ours_and_to_groups_only) {
  struct {
    const char* address;
    int code;
  } const rows[] = {{"0.0.0.0", 0},
                    {"10.0.0.1", 0},
                    {"127.0.0.1", 0},
                    {"127.9.9.9", 0},
                    {"10.0.0.255", 0},
                    {"255.255.255.255", 0},
                    {"239.1.2.3", 0},
                    {"10.0.0.2", EADDRNOTAVAIL},
                    {"10.0.0.0", EADDRNOTAVAIL},
                    {"8.8.8.8", EADDRNOTAVAIL},
                    {"240.0.0.1", EADDRNOTAVAIL}};
  for (const auto& [address, code] : rows) {
    EXPECT_EQ(host_.open().bind({ip(address), 0}).code(), code) << address;
  }
}

TEST_F(udp, binds_once) {
  udp_socket& s = host_.open("10.0.0.1", 53);
  EXPECT_EQ(s.bind({ip("10.0.0.1"), 54}).code(), EINVAL);
  EXPECT_EQ(s.local(), (endpoint_address{ip("10.0.0.1"), 53}));
  EXPECT_EQ(host_.open().bind({ip("0.0.0.0"), 53}).code(), EADDRINUSE);
}

TEST_F(udp, a_closed_socket_frees_its_port) {
  host_.close(host_.open("10.0.0.1", 53));
  host_.open("10.0.0.1", 53);
}

TEST_F(udp, a_port_is_found_by_itself_while_there_is_one) {
  auto all = take_every_ephemeral_port();
  EXPECT_EQ(all.size(), 28'232u + 1);
  EXPECT_EQ(all.back()->bind({ipv4_address{}, 0}).code(), EADDRINUSE);
  EXPECT_EQ(all.back()->connect(peer, host_.now).code(), EAGAIN);
  EXPECT_EQ(host_.send(*all.back(), "x", peer).code(), EAGAIN);
  all.erase(all.begin() + 5);
  EXPECT_TRUE(host_.send(*all.back(), "x", peer));
}

// inet_send_prepare binds before anything is looked at.
TEST_F(udp, even_a_refused_send_binds) {
  const std::string too_long(65'508, 'x');
  struct {
    const char* what;
    std::string payload;
    const endpoint_address* to;
    int code;
  } const rows[] = {{"no destination", "x", nullptr, EDESTADDRREQ}, {"too long", too_long, &peer, EMSGSIZE}};
  for (const auto& [what, payload, to, code] : rows) {
    udp_socket& s = host_.open();
    EXPECT_EQ(host_.send(s, payload, to).code(), code) << what;
    EXPECT_NE(s.local().port, 0) << what;
  }
  udp_socket& s = host_.open();
  EXPECT_EQ(host_.send(s, "x", endpoint_address{peer.address, 0}).code(), EINVAL);
  EXPECT_NE(s.local().port, 0);
}

// ---- Connecting

TEST_F(udp, connecting_fixes_both_ends) {
  udp_socket& s = host_.open();
  ASSERT_TRUE(s.connect(peer, host_.now));
  EXPECT_TRUE(s.is_connected());
  EXPECT_EQ(s.peer(), peer);
  EXPECT_EQ(s.local().address, ip("10.0.0.1"));
  EXPECT_GE(s.local().port, 32'768);
  EXPECT_TRUE(host_.send(s, "hello"));
  const seen one = only_one_sent();
  EXPECT_EQ(one.ip->destination, peer.address);
  EXPECT_EQ(one.datagram->destination_port, peer.port);
  EXPECT_EQ(one.payload, "hello");
}

TEST_F(udp, a_connected_socket_hears_its_peer_alone) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  const endpoint_address here{ip("10.0.0.1"), 53};
  arrives({here, {ip("10.0.0.7"), 7}}, "before");
  ASSERT_TRUE(s.connect(peer, host_.now));
  arrives({here, {ip("10.0.0.7"), 7}}, "a stranger");
  arrives({here, {peer.address, 998}}, "another port");
  arrives({here, peer}, "the peer");
  EXPECT_THAT(test::receive_all(s), ElementsAre("before", "the peer"));
  EXPECT_EQ(host_.drops(drop::no_socket), 2u);
}

TEST_F(udp, a_connected_socket_sends_elsewhere_when_told_to) {
  udp_socket& s = host_.open();
  ASSERT_TRUE(s.connect(peer, host_.now));
  host_.know(8);
  EXPECT_TRUE(host_.send(s, "x", endpoint_address{node::address_of(8), 7}));
  EXPECT_EQ(only_one_sent().ip->destination, node::address_of(8));
  EXPECT_TRUE(host_.send(s, "y"));
  EXPECT_EQ(only_one_sent().ip->destination, peer.address);
}

TEST_F(udp, connecting_fails_where_sending_would) {
  struct {
    const char* to;
    int code;
  } const rows[] = {
      {"8.8.8.8", ENETUNREACH}, {"10.0.0.255", EACCES}, {"255.255.255.255", EACCES}, {"239.1.2.3", 0}, {"127.0.0.1", 0},
      {"10.0.0.1", 0},          {"0.0.0.0", 0}};
  for (const auto& [to, code] : rows) {
    udp_socket& s = host_.open();
    EXPECT_EQ(s.connect({ip(to), 7}, host_.now).code(), code) << to;
    EXPECT_EQ(s.is_connected(), code == 0) << to;
  }
  udp_socket& s = host_.open();
  s.settings().broadcast = true;
  EXPECT_TRUE(s.connect({ip("10.0.0.255"), 7}, host_.now));
}

TEST_F(udp, a_failed_connect_leaves_the_old_peer) {
  udp_socket& s = host_.open();
  ASSERT_TRUE(s.connect(peer, host_.now));
  EXPECT_EQ(s.connect({ip("8.8.8.8"), 7}, host_.now).code(), ENETUNREACH);
  EXPECT_EQ(s.peer(), peer);
}

TEST_F(udp, disconnecting_keeps_what_bind_chose) {
  struct {
    const char* address;
    std::uint16_t port;
    bool keeps_address, keeps_port;
  } const rows[] = {{"10.0.0.1", 53, true, true},
                    {"10.0.0.1", 0, true, false},
                    {"0.0.0.0", 54, false, true},
                    {"0.0.0.0", 0, false, false}};
  for (const auto& [address, port, keeps_address, keeps_port] : rows) {
    udp_socket& s = host_.open(address, port);
    ASSERT_TRUE(s.connect(peer, host_.now));
    s.disconnect();
    EXPECT_FALSE(s.is_connected());
    EXPECT_EQ(s.peer(), endpoint_address{});
    EXPECT_EQ(s.local().address, keeps_address ? ip("10.0.0.1") : ip("0.0.0.0"));
    EXPECT_EQ(s.local().port != 0, keeps_port);
    EXPECT_TRUE(host_.send(s, "x", peer));
    host_.close(s);
  }
}

// ---- Sending

TEST_F(udp, a_datagram_to_a_known_neighbour) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  ASSERT_TRUE(host_.send(s, "payload", peer));
  const auto frames = host_.device.take_sent();
  ASSERT_EQ(frames.size(), 1u);
  // Ethernet; version, header length, no TOS, total length; id 0, DF; TTL, UDP, checksum; addresses; UDP.
  EXPECT_EQ(test::to_hex(frames[0].substr(0, 34)),
            "020000000009020000000001"
            "0800"
            "45000023"
            "00004000"
            "401126c1"
            "0a000001"
            "0a000009");
  EXPECT_EQ(frames[0].substr(34), test::udp_segment({peer, {ip("10.0.0.1"), 53}}, "payload"));
  EXPECT_EQ(host_.device.flushes, 1);
  EXPECT_EQ(host_.count.tx_datagrams.get(), 1u);
}

TEST_F(udp, every_length_has_a_right_checksum) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  std::string payload;
  for (std::size_t size = 0; size <= 1472; size += size < 70 ? 1 : 61, payload.resize(size, static_cast<char>(size))) {
    payload.resize(size, 'p');
    ASSERT_TRUE(host_.send(s, payload, peer));
    ASSERT_EQ(host_.device.take_sent().at(0).substr(34), test::udp_segment({peer, {ip("10.0.0.1"), 53}}, payload))
        << size;
  }
}

// RFC 768: 0 would say that there is none.
TEST_F(udp, a_checksum_of_zero_is_sent_as_all_ones) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  const std::string_view probe = "\0\0";
  const auto before = view<fastudp::udp>::parse(
                          octets(std::string_view(test::udp_segment({peer, {ip("10.0.0.1"), 53}}, {probe.data(), 2}))))
                          ->get<&fastudp::udp::checksum>();
  std::string payload(2, '\0');
  store_network(octets(payload).data(), static_cast<std::uint16_t>(before));
  ASSERT_TRUE(host_.send(s, payload, peer));
  EXPECT_EQ(only_one_sent().datagram->checksum, 0xffff);
}

// ---- Checksums that the link completes

// RFC 768's pseudo header: addresses, protocol, length.
std::uint16_t pseudo_sum(std::size_t udp_length) {
  std::uint32_t sum = 0x0a00 + 1 + 0x0a00 + 9 + 17 + static_cast<std::uint32_t>(udp_length);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

class udp_on_link_that_sums : public udp {
 protected:
  udp_on_link_that_sums() { host_.device.sums = true; }
  static std::string but_for_sum(std::string segment) { return segment.replace(6, 2, "??"); }
};

TEST_F(udp_on_link_that_sums, of_what_is_not_short_only_the_pseudo_headers_sum_is_made) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  for (const std::size_t size : {504u, 505u, 1471u, 1472u}) {
    const std::string payload(size, 'p');
    ASSERT_TRUE(host_.send(s, payload, peer));
    const auto segment = host_.device.take_sent().at(0).substr(34);
    EXPECT_EQ(but_for_sum(segment), but_for_sum(test::udp_segment({peer, {ip("10.0.0.1"), 53}}, payload))) << size;
    EXPECT_EQ(load_network<std::uint16_t>(octets(segment).data() + 6), pseudo_sum(8 + size)) << size;
    EXPECT_EQ(host_.device.checksum_of_sent, checksum_state::partial);
  }
}

TEST_F(udp_on_link_that_sums, what_is_short_is_summed_here) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  for (const std::size_t size : {0u, 1u, 503u}) {
    const std::string payload(size, 'p');
    ASSERT_TRUE(host_.send(s, payload, peer));
    EXPECT_EQ(host_.device.take_sent().at(0).substr(34), test::udp_segment({peer, {ip("10.0.0.1"), 53}}, payload));
    EXPECT_NE(host_.device.checksum_of_sent, checksum_state::partial);
  }
}

TEST_F(udp_on_link_that_sums, what_leaves_in_fragments_is_summed_here) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  s.settings().mtu_discover = IP_PMTUDISC_DONT;
  const std::string payload(1473, 'p');
  ASSERT_TRUE(host_.send(s, payload, peer));
  const auto fragments = host_.device.take_sent();
  ASSERT_EQ(fragments.size(), 2u);
  EXPECT_EQ(fragments[0].substr(34) + fragments[1].substr(34),
            test::udp_segment({peer, {ip("10.0.0.1"), 53}}, payload));
  EXPECT_NE(host_.device.checksum_of_sent, checksum_state::partial);
}

TEST_F(udp_on_link_that_sums, no_checksum_stays_none) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  s.settings().no_checksum = true;
  ASSERT_TRUE(host_.send(s, std::string(1000, 'x'), peer));
  EXPECT_EQ(only_one_sent().datagram->checksum, 0);
  EXPECT_NE(host_.device.checksum_of_sent, checksum_state::partial);
}

TEST_F(udp, refuses_what_linux_refuses) {
  udp_socket& s = host_.open();
  EXPECT_EQ(host_.send(s, "x").code(), EDESTADDRREQ);
  EXPECT_EQ(host_.send(s, "x", endpoint_address{peer.address, 0}).code(), EINVAL);
  EXPECT_EQ(host_.send(s, "x", endpoint_address{ip("8.8.8.8"), 53}).code(), ENETUNREACH);
  EXPECT_EQ(host_.send(s, "x", endpoint_address{ip("10.0.0.255"), 53}).code(), EACCES);
  EXPECT_EQ(host_.send(s, "x", endpoint_address{ip("255.255.255.255"), 53}).code(), EACCES);
  EXPECT_EQ(host_.send(s, std::string(65'508, 'x'), peer).code(), EMSGSIZE);
  EXPECT_EQ(host_.send(s, std::string(70'000, 'x'), peer).code(), EMSGSIZE);
  EXPECT_EQ(host_.send(s, "x", peer, {.source_v4 = ip("10.0.0.2"), .has_v4_source = true}).code(), EINVAL);
  EXPECT_TRUE(host_.device.take_sent().empty());
  EXPECT_EQ(host_.count.tx_datagrams.get(), 0u);
}

TEST_F(udp, broadcasts_when_allowed_and_hears_itself) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  s.settings().broadcast = true;
  for (const char* to : {"10.0.0.255", "255.255.255.255"}) {
    EXPECT_TRUE(host_.send(s, "x", endpoint_address{ip(to), 53}));
    EXPECT_EQ(only_one_sent().link.destination, broadcast_mac);
    EXPECT_EQ(test::receive(s), "x");
  }
}

TEST_F(udp, multicast_has_its_own_ttl_and_needs_no_neighbour) {
  udp_socket& s = host_.open();
  s.settings().ttl = 9;
  EXPECT_TRUE(host_.send(s, "x", endpoint_address{ip("239.129.2.3"), 53}));
  const seen one = only_one_sent();
  EXPECT_EQ(one.link.destination, (mac_address{{1, 0, 0x5e, 1, 2, 3}}));
  EXPECT_EQ(one.ip->ttl, 1);
  s.settings().multicast_ttl = 5;
  EXPECT_TRUE(host_.send(s, "x", endpoint_address{ip("239.129.2.3"), 53}));
  EXPECT_EQ(only_one_sent().ip->ttl, 5);
}

TEST_F(udp, ttl_and_tos_are_the_sockets_or_the_datagrams) {
  udp_socket& s = host_.open();
  s.settings().ttl = 7;
  s.settings().tos = 0xb9;
  EXPECT_TRUE(host_.send(s, "x", peer));
  seen one = only_one_sent();
  EXPECT_EQ(one.ip->ttl, 7);
  EXPECT_EQ(one.ip->dscp << 2 | one.ip->ecn, 0xb9);
  EXPECT_TRUE(host_.send(s, "x", peer, {.source = {}, .ttl = 200, .tos = 0x10}));
  one = only_one_sent();
  EXPECT_EQ(one.ip->ttl, 200);
  EXPECT_EQ(one.ip->dscp << 2 | one.ip->ecn, 0x10);
}

TEST_F(udp, the_source_is_the_bound_address_or_the_one_asked_for) {
  ASSERT_TRUE(host_.below->add_address({ip("10.0.0.3"), 24}, host_.now));
  udp_socket& bound = host_.open("10.0.0.3", 53);
  EXPECT_TRUE(host_.send(bound, "x", peer));
  EXPECT_EQ(only_one_sent().ip->source, ip("10.0.0.3"));
  udp_socket& any = host_.open();
  EXPECT_TRUE(host_.send(any, "x", peer, {.source_v4 = ip("10.0.0.3"), .has_v4_source = true}));
  EXPECT_EQ(only_one_sent().ip->source, ip("10.0.0.3"));
  EXPECT_TRUE(host_.send(any, "x", peer));
  EXPECT_EQ(only_one_sent().ip->source, ip("10.0.0.1"));
  // The any address, asked for, is the route's choice and not the socket's.
  EXPECT_TRUE(host_.send(bound, "x", peer, {.source_v4 = ip("0.0.0.0"), .has_v4_source = true}));
  EXPECT_EQ(only_one_sent().ip->source, ip("10.0.0.1"));
}

TEST_F(udp, a_socket_bound_to_a_group_sends_from_an_address_of_ours) {
  for (const char* group : {"239.1.2.3", "10.0.0.255", "255.255.255.255"}) {
    udp_socket& s = host_.open(group, 53);
    EXPECT_TRUE(host_.send(s, "x", peer)) << group;
    EXPECT_EQ(only_one_sent().ip->source, ip("10.0.0.1")) << group;
    host_.close(s);
  }
}

TEST_F(udp, a_shut_socket_sends_nothing) {
  udp_socket& s = host_.open();
  EXPECT_EQ(s.shut_down(false, true).code(), ENOTCONN);
  EXPECT_EQ(host_.send(s, "x", peer).code(), EPIPE);
  udp_socket& connected = host_.open();
  ASSERT_TRUE(connected.connect(peer, host_.now));
  EXPECT_TRUE(connected.shut_down(true, false));
  EXPECT_TRUE(host_.send(connected, "x"));
  EXPECT_TRUE(connected.shut_down(false, true));
  EXPECT_EQ(host_.send(connected, "x").code(), EPIPE);
}

TEST_F(udp, a_full_link_is_enobufs_and_loses_no_frame) {
  udp_socket& s = host_.open();
  host_.device.takes = 0;
  std::size_t held = 0;
  while (s.send(octets("x"), &peer, {}, host_.now)) ++held;
  EXPECT_EQ(held, burst::capacity);
  EXPECT_EQ(host_.send(s, "x", peer).code(), ENOBUFS);
  EXPECT_EQ(host_.drops(drop::link_tx_full), 2u);
  EXPECT_EQ(host_.count.tx_datagrams.get(), held);
  host_.device.takes = 1000;
  EXPECT_TRUE(host_.send(s, "y", peer));
  EXPECT_EQ(sent().size(), held + 1);
}

TEST_F(udp, no_frame_left_is_enobufs) {
  udp_socket& s = host_.open();
  std::vector<packet*> all;
  while (packet* p = host_.below->frames().take()) all.push_back(p);
  EXPECT_EQ(host_.send(s, "x", peer).code(), ENOBUFS);
  for (packet* p : all) release(p);
  EXPECT_TRUE(host_.send(s, "x", peer));
}

TEST_F(udp, to_ourselves_it_arrives_without_the_link) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  for (const char* to : {"127.0.0.1", "10.0.0.1", "127.1.2.3", "0.0.0.0"}) {
    const std::string longest(65'507, 'l');
    for (const std::string& payload : {std::string("short"), longest}) {
      EXPECT_TRUE(host_.send(s, payload, endpoint_address{ip(to), 53})) << to;
      EXPECT_EQ(test::receive(s), payload) << to;
    }
  }
  EXPECT_TRUE(host_.device.take_sent().empty());
}

// ---- Path MTU

struct pmtu_row {
  int mode;
  std::size_t size;    // of the payload
  std::size_t frames;  // 0: EMSGSIZE
  bool dont_fragment;
};

class path_mtu : public udp {
 protected:
  void expect(const pmtu_row& row, const char* when) {
    udp_socket& s = host_.open();
    s.settings().mtu_discover = row.mode;
    const auto outcome = host_.send(s, std::string(row.size, 'x'), peer);
    EXPECT_EQ(outcome.code(), row.frames != 0 ? 0 : EMSGSIZE) << when << ": mode " << row.mode << ", " << row.size;
    const auto frames = sent();
    EXPECT_EQ(frames.size(), row.frames) << when << ": mode " << row.mode << ", " << row.size;
    for (const seen& each : frames) {
      EXPECT_EQ((each.ip->flags & ipv4::dont_fragment) != 0, row.dont_fragment) << when << ": mode " << row.mode;
    }
    host_.close(s);
  }
  // A router between us and the peer.
  void fragmentation_needed(std::uint16_t mtu) {
    udp_socket& s = host_.open();
    ASSERT_TRUE(s.connect(peer, host_.now));
    host_.hear(test::icmp_error(ip("10.0.0.254"), ip("10.0.0.1"), icmpv4_type::unreachable, 4,
                                test::udp_packet({peer, s.local()}, "quoted"), mtu));
    host_.close(s);
  }
};

TEST_F(path_mtu, each_mode_treats_long_datagrams_in_its_own_way) {
  for (const pmtu_row& row : {pmtu_row{IP_PMTUDISC_DONT, 1472, 1, false},
                              {IP_PMTUDISC_DONT, 1473, 2, false},
                              {IP_PMTUDISC_WANT, 1472, 1, true},
                              {IP_PMTUDISC_WANT, 1473, 2, false},
                              {IP_PMTUDISC_DO, 1472, 1, true},
                              {IP_PMTUDISC_DO, 1473, 0, true},
                              {IP_PMTUDISC_PROBE, 1472, 1, true},
                              {IP_PMTUDISC_PROBE, 1473, 0, true},
                              {IP_PMTUDISC_INTERFACE, 1472, 1, false},
                              {IP_PMTUDISC_INTERFACE, 1473, 0, false},
                              {IP_PMTUDISC_OMIT, 1472, 1, false},
                              {IP_PMTUDISC_OMIT, 1473, 2, false}}) {
    expect(row, "on the link's MTU");
  }
}

TEST_F(path_mtu, a_router_that_asks_for_less_is_believed_by_those_who_care) {
  fragmentation_needed(1280);
  for (const pmtu_row& row : {pmtu_row{IP_PMTUDISC_DONT, 1253, 2, false},
                              {IP_PMTUDISC_WANT, 1252, 1, true},
                              {IP_PMTUDISC_WANT, 1253, 2, false},
                              {IP_PMTUDISC_DO, 1252, 1, true},
                              {IP_PMTUDISC_DO, 1253, 0, true},
                              {IP_PMTUDISC_PROBE, 1472, 1, true},
                              {IP_PMTUDISC_INTERFACE, 1472, 1, false},
                              {IP_PMTUDISC_OMIT, 1472, 1, false}}) {
    expect(row, "on a path of 1280");
  }
  udp_socket& s = host_.open();
  EXPECT_EQ(s.path_mtu(host_.now).code(), ENOTCONN);
  ASSERT_TRUE(s.connect(peer, host_.now));
  EXPECT_EQ(*s.path_mtu(host_.now), 1280u);
  host_.run_at(host_.now + 601 * second);
  EXPECT_EQ(*s.path_mtu(host_.now), 1500u) << "it is forgotten in time";
}

TEST_F(path_mtu, fragments_are_what_the_receiver_puts_together) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  const std::string payload(65'507, 'f');
  ASSERT_TRUE(host_.send(s, payload, peer));
  std::string whole;
  for (const std::string& frame : host_.device.take_sent()) {
    const seen piece = look_at(frame);
    EXPECT_EQ(piece.ip->fragment_offset * 8u, whole.size());
    EXPECT_LE(frame.size(), 1514u);
    whole += frame.substr(34);
  }
  EXPECT_EQ(whole, test::udp_segment({peer, {ip("10.0.0.1"), 53}}, payload));
  EXPECT_EQ(host_.count.tx_datagrams.get(), 1u);
}

TEST_F(path_mtu, too_long_is_told_to_the_error_queue_with_the_mtu) {
  udp_socket& s = host_.open();
  s.settings().mtu_discover = IP_PMTUDISC_DO;
  s.settings().receive_errors = true;
  EXPECT_EQ(host_.send(s, std::string(1473, 'x'), peer).code(), EMSGSIZE);
  queued_error e;
  packet* quoted = s.errors().pop(e);
  ASSERT_NE(quoted, nullptr);
  EXPECT_EQ(quoted->length, 0u);
  release(quoted);
  EXPECT_EQ(e.code, EMSGSIZE);
  EXPECT_EQ(e.origin, 1);  // SO_EE_ORIGIN_LOCAL
  EXPECT_EQ(e.info, 1500u);
  EXPECT_EQ(e.destination.address, peer.address);
  EXPECT_EQ(e.destination.port, 0) << "Linux gives the connected peer's port, here none";
  EXPECT_FALSE(s.has_pending_error());
}

// ---- Without a copy

TEST_F(udp, a_packet_is_taken_when_it_was_sent_and_left_when_not) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  packet* p = host_.below->out().take_datagram(100);
  p->length = 7;
  std::copy_n("payload", 7, reinterpret_cast<char*>(p->data()));
  EXPECT_EQ(s.send_packet(p, nullptr, {}, host_.now).code(), EDESTADDRREQ);
  EXPECT_EQ(test::bytes_of(p), "payload");
  EXPECT_TRUE(s.send_packet(p, &peer, {}, host_.now));
  host_.below->flush(host_.now);
  EXPECT_EQ(host_.device.take_sent().at(0).substr(34), test::udp_segment({peer, {ip("10.0.0.1"), 53}}, "payload"));
}

TEST_F(udp, what_was_received_can_be_sent_on) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  arrives({{ip("10.0.0.1"), 53}, peer}, "to and fro");
  packet* p = s.pop();
  ASSERT_NE(p, nullptr);
  const endpoint_address back = sender_of(*p);
  EXPECT_EQ(back, peer);
  EXPECT_TRUE(s.send_packet(p, &back, {}, host_.now));
  host_.below->flush(host_.now);
  EXPECT_EQ(only_one_sent().payload, "to and fro");
}

}  // namespace
}  // namespace fastudp
