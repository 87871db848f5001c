// The way out: which path, which source, which frames; what waits for a neighbour, and what a full link does.

#include "stack/egress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "support/node.h"

namespace fastudp {
namespace {

using test::ip;
using test::look_at;
using test::mac_of;
using test::node;
using test::prefix;
using test::seen;
using testing::ElementsAre;
using testing::SizeIs;

class leaving : public testing::Test {
 protected:
  egress& out() { return host_.below->out(); }
  result<path> way_to(const char* destination, const char* source = "0.0.0.0") {
    return out().find_path(ip(destination), ip(source), host_.now);
  }
  packet* datagram(std::string_view payload) {
    packet* p = out().take_datagram(static_cast<std::uint32_t>(payload.size()));
    if (p == nullptr) return nullptr;
    p->length = static_cast<std::uint32_t>(payload.size());
    std::copy(payload.begin(), payload.end(), reinterpret_cast<char*>(p->data()));
    return p;
  }
  status send(const path& way, std::string_view payload, const ip_choices& choices = {}) {
    const auto outcome = out().send(way, datagram(payload), choices, host_.now);
    host_.below->flush(host_.now);
    return outcome;
  }
  std::vector<seen> sent() {
    std::vector<seen> all;
    for (const std::string& frame : host_.device.take_sent()) all.push_back(look_at(frame));
    return all;
  }
  std::vector<std::string> payloads_sent() {
    std::vector<std::string> all;
    for (const seen& each : sent()) {
      if (each.ip) all.push_back(each.payload);
    }
    return all;
  }
  // Host n tells us where it is.
  void answers(unsigned n) {
    host_.hear_frame(test::arp_frame(mac_of(1), {.operation = arp_operation::reply,
                                                 .sender_mac = mac_of(n),
                                                 .sender_address = node::address_of(n),
                                                 .target_mac = mac_of(1),
                                                 .target_address = node::address_of(1)}));
  }

  node host_{1};
};

// ---- Paths

TEST_F(leaving, where_it_goes_decides_how) {
  const ip_address router = ip("10.0.0.254");
  ASSERT_TRUE(host_.below->add_route(prefix("192.0.2.0/24"), &router));
  ASSERT_TRUE(host_.below->add_route(prefix("0.0.0.0/8"), &router));
  struct {
    const char* to;
    path_kind kind;
    const char *source, *next_hop;
  } const rows[] = {{"10.0.0.9", path_kind::unicast, "10.0.0.1", "10.0.0.9"},
                    {"192.0.2.7", path_kind::unicast, "10.0.0.1", "10.0.0.254"},
                    {"0.0.0.5", path_kind::unicast, "10.0.0.1", "10.0.0.254"},
                    {"10.0.0.255", path_kind::broadcast, "10.0.0.1", "10.0.0.255"},
                    {"255.255.255.255", path_kind::broadcast, "10.0.0.1", "255.255.255.255"},
                    {"239.1.2.3", path_kind::multicast, "10.0.0.1", "239.1.2.3"},
                    {"127.0.0.1", path_kind::local, "127.0.0.1", "127.0.0.1"},
                    {"127.5.6.7", path_kind::local, "127.0.0.1", "127.5.6.7"},
                    {"10.0.0.1", path_kind::local, "10.0.0.1", "10.0.0.1"}};
  for (const auto& [to, kind, source, next_hop] : rows) {
    const auto way = way_to(to);
    ASSERT_TRUE(way) << to;
    EXPECT_EQ(way->kind, kind) << to;
    EXPECT_EQ(way->source, ip(source)) << to;
    EXPECT_EQ(way->next_hop, ip(next_hop)) << to;
    EXPECT_EQ(way->destination, ip(to));
    EXPECT_EQ(way->mtu, kind == path_kind::local ? 65'536u : 1500u);
  }
}

TEST_F(leaving, there_is_no_way_to_these) {
  EXPECT_EQ(way_to("192.0.2.7").code(), ENETUNREACH);
  EXPECT_EQ(way_to("10.0.0.9", "10.0.0.2").code(), EINVAL) << "not our address";
  EXPECT_EQ(way_to("10.0.0.9", "127.0.0.1").code(), EINVAL) << "loopback stays at home";
}

TEST_F(leaving, any_address_is_this_host) {
  EXPECT_EQ(way_to("0.0.0.0")->destination, ip("127.0.0.1"));
  EXPECT_EQ(way_to("0.0.0.0", "10.0.0.1")->destination, ip("10.0.0.1"));
  EXPECT_EQ(way_to("0.0.0.0")->kind, path_kind::local);
}

TEST_F(leaving, a_host_without_an_address_sends_to_itself_alone) {
  ASSERT_TRUE(host_.below->remove_address(ip("10.0.0.1"), 0));
  EXPECT_EQ(way_to("10.0.0.9").code(), ENETUNREACH);
  EXPECT_EQ(way_to("239.1.2.3").code(), ENETUNREACH);
  EXPECT_EQ(way_to("255.255.255.255").code(), ENETUNREACH);
  EXPECT_TRUE(way_to("127.0.0.1"));
}

TEST_F(leaving, without_a_device_only_what_stays_here_has_a_path) {
  ASSERT_TRUE(way_to("10.0.0.2"));
  out().set_trouble(kernel_reason::link_lost);
  for (const char* each : {"10.0.0.2", "239.1.2.3", "255.255.255.255"}) EXPECT_EQ(way_to(each).code(), ENETDOWN);
  EXPECT_EQ(way_to("192.0.2.7").code(), ENETUNREACH);
  EXPECT_TRUE(way_to("127.0.0.1"));
  EXPECT_TRUE(way_to("10.0.0.1"));
  out().set_trouble(kernel_reason::count);
  EXPECT_TRUE(way_to("10.0.0.2"));
}

TEST_F(leaving, the_source_shares_most_with_the_next_hop) {
  ASSERT_TRUE(host_.below->add_address({ip("10.0.0.129"), 25}, host_.now));
  ASSERT_TRUE(host_.below->add_address({ip("172.16.0.1"), 12}, host_.now));
  EXPECT_EQ(way_to("10.0.0.9")->source, ip("10.0.0.1"));
  EXPECT_EQ(way_to("10.0.0.200")->source, ip("10.0.0.129"));
  EXPECT_EQ(way_to("172.31.9.9")->source, ip("172.16.0.1"));
  EXPECT_EQ(way_to("239.1.2.3")->source, ip("10.0.0.1"));
}

TEST_F(leaving, what_changes_is_noticed) {
  const ip_address router = ip("10.0.0.254");
  host_.know(9);
  struct {
    const char* what;
    std::function<void()> change;
  } const rows[] = {
      {"an address more",
       [&] {
         EXPECT_TRUE(host_.below->add_address({ip("10.1.0.1"), 16}, host_.now));
       }},
      {"a route more", [&] { EXPECT_TRUE(host_.below->add_route(prefix("192.0.2.0/24"), &router)); }},
      {"a route less", [&] { EXPECT_TRUE(host_.below->remove_route(prefix("192.0.2.0/24"))); }},
      {"an address less", [&] { EXPECT_TRUE(host_.below->remove_address(ip("10.1.0.1"), 0)); }},
      {"another MAC", [&] { EXPECT_TRUE(host_.below->add_neighbour(node::address_of(9), mac_of(7))); }},
      {"a neighbour less", [&] { EXPECT_TRUE(host_.below->remove_neighbour(node::address_of(9))); }},
  };
  for (const auto& [what, change] : rows) {
    const auto way = way_to("10.0.0.9");
    ASSERT_TRUE(out().is_current(*way)) << what;
    change();
    EXPECT_FALSE(out().is_current(*way)) << what;
  }
}

// ---- Neighbours

TEST_F(leaving, nothing_waits_for_a_broadcast_or_a_group) {
  for (const char* to : {"10.0.0.255", "255.255.255.255", "239.1.2.3", "224.0.0.251"}) {
    EXPECT_TRUE(send(*way_to(to), to));
    const auto all = sent();
    ASSERT_THAT(all, SizeIs(1)) << to;
    EXPECT_TRUE(all[0].link.destination.is_group());
    EXPECT_FALSE(all[0].who_has) << "nobody asks for the address of a group";
  }
}

TEST_F(leaving, what_waits_for_a_neighbour_leaves_in_order_when_it_answers) {
  const auto way = way_to("10.0.0.9");
  ASSERT_FALSE(way->resolved);
  for (const char* text : {"one", "two", "three"}) EXPECT_TRUE(send(*way, text));
  const auto asked = sent();
  ASSERT_THAT(asked, SizeIs(1));
  EXPECT_EQ(asked[0].link.destination, broadcast_mac);
  EXPECT_EQ(asked[0].who_has->target_address, ip("10.0.0.9"));
  EXPECT_EQ(host_.below->neighbours().parked(), 3u);
  answers(9);
  EXPECT_THAT(payloads_sent(), ElementsAre("one", "two", "three"));
  EXPECT_EQ(host_.below->neighbours().parked(), 0u);
}

TEST_F(leaving, a_path_from_before_the_answer_still_works) {
  const auto way = way_to("10.0.0.9");
  answers(9);
  host_.device.take_sent();
  EXPECT_TRUE(send(*way, "late"));
  const auto all = sent();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].link.destination, mac_of(9));
}

TEST_F(leaving, by_the_gateway_it_has_its_mac_and_our_destination) {
  const ip_address router = ip("10.0.0.254");
  ASSERT_TRUE(host_.below->add_route(prefix("0.0.0.0/0"), &router));
  ASSERT_TRUE(host_.below->add_neighbour(router, mac_of(254)));
  EXPECT_TRUE(send(*way_to("8.8.8.8"), "far"));
  const auto all = sent();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].link.destination, mac_of(254));
  EXPECT_EQ(all[0].ip->destination, ip("8.8.8.8"));
}

TEST_F(leaving, a_neighbour_that_never_answers_is_a_drop) {
  EXPECT_TRUE(send(*way_to("10.0.0.9"), "x"));
  for (int i = 0; i < 4; ++i) host_.run_at(host_.now + second);
  EXPECT_EQ(host_.drops(drop::neighbour_failed), 1u);
  EXPECT_THAT(sent(), SizeIs(3)) << "asked three times, a second apart";
  EXPECT_EQ(host_.below->neighbours().parked(), 0u);
}

// ---- Frames

TEST_F(leaving, every_choice_stands_in_the_header) {
  host_.know(9);
  const auto way = way_to("10.0.0.9");
  EXPECT_TRUE(send(*way, "x", {.protocol = ip_protocol::icmp, .ttl = 3, .tos = 0xab, .dont_fragment = false}));
  EXPECT_TRUE(send(*way, "x", {.dont_fragment = false}));
  EXPECT_TRUE(send(*way, "x"));
  const auto all = sent();
  ASSERT_THAT(all, SizeIs(3));
  EXPECT_EQ(all[0].ip->protocol, ip_protocol::icmp);
  EXPECT_EQ(all[0].ip->ttl, 3);
  EXPECT_EQ(all[0].ip->dscp << 2 | all[0].ip->ecn, 0xab);
  EXPECT_EQ(all[0].ip->flags, 0);
  EXPECT_NE(all[0].ip->identification, all[1].ip->identification);
  EXPECT_EQ(all[2].ip->flags, ipv4::dont_fragment);
  EXPECT_EQ(all[2].ip->identification, 0) << "RFC 6864: it has no meaning";
}

TEST_F(leaving, what_is_longer_than_a_frame_goes_in_pieces) {
  host_.know(9);
  std::string whole(5000, '\0');
  std::iota(whole.begin(), whole.end(), '\0');
  EXPECT_TRUE(send(*way_to("10.0.0.9"), whole));
  std::string together;
  const auto frames = host_.device.take_sent();
  ASSERT_THAT(frames, SizeIs(4));
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const seen piece = look_at(frames[i]);
    EXPECT_EQ(piece.ip->fragment_offset * 8u, together.size());
    EXPECT_EQ(piece.ip->identification, look_at(frames[0]).ip->identification);
    EXPECT_EQ(piece.ip->flags, i + 1 < frames.size() ? ipv4::more_fragments : u<3>{0});
    EXPECT_TRUE(verify_checksum(test::octets(std::string_view(frames[i]).substr(14, 20))));
    together += frames[i].substr(34);
  }
  EXPECT_EQ(together, whole);
}

TEST_F(leaving, a_refused_length_leaves_nothing_behind) {
  host_.know(9);
  EXPECT_EQ(send(*way_to("10.0.0.9"), std::string(1481, 'x'), {.may_fragment = false}).code(), EMSGSIZE);
  EXPECT_EQ(send(*way_to("127.0.0.1"), std::string(65'516, 'x')).code(), EMSGSIZE);
  EXPECT_THAT(sent(), SizeIs(0));
  EXPECT_EQ(host_.device.out(), 0u);
  EXPECT_EQ(host_.below->store().in_use(), 0u);
}

TEST_F(leaving, when_frames_run_out_the_rest_of_the_pieces_is_not_sent) {
  host_.know(9);
  const auto way = way_to("10.0.0.9");
  packet* whole = datagram(std::string(60'000, 'x'));
  std::vector<packet*> all;
  while (packet* p = host_.below->frames().take()) all.push_back(p);
  for (int i = 0; i < 5; ++i) release(all.back()), all.pop_back();
  host_.device.takes = 0;
  EXPECT_EQ(out().send(*way, whole, {}, host_.now).code(), ENOBUFS);
  EXPECT_EQ(host_.below->store().in_use(), 0u);
  for (packet* p : all) release(p);
  host_.device.takes = 1000;
  host_.below->flush(host_.now);
  EXPECT_THAT(sent(), SizeIs(5));
}

TEST_F(leaving, a_broadcast_in_pieces_comes_home_whole) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  s.settings().broadcast = true;
  const std::string payload(4000, 'b');
  EXPECT_TRUE(host_.send(s, payload, endpoint_address{ip("10.0.0.255"), 53}));
  EXPECT_THAT(sent(), SizeIs(3));
  EXPECT_EQ(test::receive(s), payload);
}

TEST_F(leaving, a_full_link_keeps_the_order_and_says_what_it_lost) {
  host_.know(9);
  const auto way = way_to("10.0.0.9");
  host_.device.takes = 0;
  for (std::size_t i = 0; i < burst::capacity; ++i) {
    EXPECT_TRUE(out().send(*way, datagram(std::to_string(i)), {}, host_.now));
  }
  EXPECT_EQ(out().send(*way, datagram("lost"), {}, host_.now).code(), ENOBUFS);
  EXPECT_EQ(host_.drops(drop::link_tx_full), 1u);
  host_.device.takes = 10;
  host_.below->flush(host_.now);
  EXPECT_TRUE(out().has_unsent());
  host_.device.takes = 1000;
  EXPECT_TRUE(send(*way, "last"));
  const auto all = payloads_sent();
  ASSERT_THAT(all, SizeIs(burst::capacity + 1));
  for (std::size_t i = 0; i < burst::capacity; ++i) EXPECT_EQ(all[i], std::to_string(i));
  EXPECT_EQ(all.back(), "last");
  EXPECT_FALSE(out().has_unsent());
  EXPECT_EQ(host_.count.tx_frames.get(), burst::capacity + 1);
}

}  // namespace
}  // namespace fastudp
