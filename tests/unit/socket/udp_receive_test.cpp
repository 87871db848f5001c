// One UDP socket and many: what arrives, what waits, what is lost and why, and what errors do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/errqueue.h>
#include <netinet/in.h>

#include <cerrno>
#include <string>
#include <vector>

#include "socket/udp_socket.h"
#include "support/node.h"

namespace fastudp {
namespace {

using test::ip;
using test::node;
using testing::ElementsAre;
using testing::SizeIs;

constexpr endpoint_address peer{node::address_of(9), 999};
constexpr endpoint_address here{node::address_of(1), 53};

class receiving : public testing::Test {
 protected:
  explicit receiving(const test::node_settings& with = {}) : host_(1, with) { host_.know(9); }
  void arrives(std::string_view payload, const flow& where = {here, peer}) {
    host_.hear(test::udp_packet(where, payload));
  }

  node host_;
};

TEST_F(receiving, the_payload_and_both_ends) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  arrives("hello");
  ASSERT_TRUE(s.has_datagram());
  EXPECT_EQ(sender_of(*s.front()), peer);
  EXPECT_EQ(facts_of(*s.front()).destination, here.address);
  EXPECT_EQ(test::receive(s), "hello");
  EXPECT_EQ(host_.count.rx_datagrams.get(), 1u);
}

TEST_F(receiving, an_empty_datagram_is_one) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  arrives("");
  EXPECT_EQ(test::receive(s), "");
  EXPECT_EQ(test::receive(s), std::nullopt);
}

TEST_F(receiving, two_sockets_get_their_own_in_order) {
  udp_socket& a = host_.open("0.0.0.0", 53);
  udp_socket& b = host_.open("0.0.0.0", 54);
  std::vector<std::string> to_a, to_b;
  for (int i = 0; i < 200; ++i) {
    auto& list = i % 3 == 0 ? to_a : to_b;
    list.push_back(std::to_string(i));
    arrives(list.back(), {{here.address, static_cast<std::uint16_t>(i % 3 == 0 ? 53 : 54)}, peer});
  }
  EXPECT_EQ(test::receive_all(a), to_a);
  EXPECT_EQ(test::receive_all(b), to_b);
}

TEST_F(receiving, the_queue_is_bounded_and_says_what_it_lost) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  s.settings().receive_buffer = 4 * 832;
  for (const char* text : {"1", "2", "3", "4", "5", "6"}) arrives(text);
  EXPECT_EQ(host_.drops(drop::queue_full), 2u);
  EXPECT_EQ(host_.count.rx_datagrams.get(), 4u);
  EXPECT_EQ(test::receive(s), "1");
  arrives("7");
  EXPECT_THAT(test::receive_all(s), ElementsAre("2", "3", "4", "7"));
}

TEST_F(receiving, readiness_is_told_when_something_comes_to_nothing) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  arrives("1");
  arrives("2");
  EXPECT_THAT(host_.ready, ElementsAre(&s));
  (void)test::receive(s);
  arrives("3");
  EXPECT_THAT(host_.ready, ElementsAre(&s));
  (void)test::receive_all(s);
  arrives("4");
  EXPECT_THAT(host_.ready, ElementsAre(&s, &s));
}

TEST_F(receiving, a_socket_shut_for_reading_still_takes_what_comes_as_on_linux) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  arrives("before");
  EXPECT_EQ(s.shut_down(true, false).code(), ENOTCONN);
  EXPECT_THAT(host_.ready, SizeIs(2));
  arrives("after");
  EXPECT_THAT(test::receive_all(s), ElementsAre("before", "after"));
}

TEST_F(receiving, closing_gives_back_what_waits) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  for (int i = 0; i < 50; ++i) arrives("x");
  EXPECT_EQ(host_.device.out(), 50u);
  host_.close(s);
  EXPECT_EQ(host_.device.out(), 0u);
}

// ---- To many

TEST_F(receiving, a_broadcast_reaches_every_socket_with_a_copy_of_its_own) {
  std::vector<udp_socket*> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(&host_.open());
    all.back()->entry().reuse_address = true;
    ASSERT_TRUE(all.back()->bind({ip(i % 2 == 0 ? "0.0.0.0" : "10.0.0.255"), 53}));
  }
  udp_socket& unicast_only = host_.open();
  unicast_only.entry().reuse_address = true;
  ASSERT_TRUE(unicast_only.bind(here));
  arrives("all", {{ip("10.0.0.255"), 53}, peer});
  for (udp_socket* s : all) {
    ASSERT_TRUE(s->has_datagram());
    EXPECT_EQ(sender_of(*s->front()), peer);
    EXPECT_EQ(facts_of(*s->front()).destination, ip("10.0.0.255"));
    s->front()->data()[0] = std::byte{'A'};  // seen by nobody else
    EXPECT_EQ(test::receive(*s), "All");
  }
  EXPECT_FALSE(unicast_only.has_datagram());
  EXPECT_EQ(host_.count.rx_datagrams.get(), 5u);
}

TEST_F(receiving, a_broadcast_to_nobody_is_dropped_in_silence) {
  arrives("all", {{ip("10.0.0.255"), 53}, peer});
  EXPECT_EQ(host_.drops(drop::no_socket), 1u);
  EXPECT_TRUE(host_.device.take_sent().empty());
}

TEST_F(receiving, a_full_queue_among_many_loses_its_own_copy_only) {
  udp_socket& slow = host_.open();
  udp_socket& quick = host_.open();
  for (udp_socket* s : {&slow, &quick}) {
    s->entry().reuse_address = true;
    ASSERT_TRUE(s->bind({ipv4_address{}, 53}));
  }
  slow.settings().receive_buffer = 832;
  for (int i = 0; i < 3; ++i) arrives("x", {{ip("255.255.255.255"), 53}, peer});
  EXPECT_THAT(test::receive_all(slow), SizeIs(1));
  EXPECT_THAT(test::receive_all(quick), SizeIs(3));
  EXPECT_EQ(host_.drops(drop::queue_full), 2u);
}

// ---- A slow program

class scarce : public receiving {
 protected:
  scarce() : receiving({.frames = 64}) {}
};

TEST_F(scarce, nothing_is_lost_that_the_buffer_has_room_for) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  std::vector<std::string> all;
  for (int i = 0; i < 256; ++i) arrives(all.emplace_back("datagram " + std::to_string(i)));
  EXPECT_EQ(host_.drops(), 0u);
  EXPECT_LE(host_.device.out(), 48u) << "a quarter stays free for what is in flight";
  EXPECT_TRUE(host_.send(s, "still sending", peer));
  for (const packet* p = s.front(); p != nullptr; p = p->next) {
    EXPECT_EQ(sender_of(*p), peer);
    EXPECT_EQ(facts_of(*p).destination, here.address);
  }
  EXPECT_EQ(test::receive_all(s), all);
}

TEST_F(scarce, every_socket_has_its_whole_buffer) {
  std::vector<udp_socket*> all;
  for (std::uint16_t port = 100; port < 120; ++port) all.push_back(&host_.open("0.0.0.0", port));
  for (int i = 0; i < 100; ++i) {
    for (udp_socket* s : all) arrives(std::string(1400, 'x'), {{here.address, s->local().port}, peer});
  }
  constexpr std::size_t fit = 212'992 / truesize(1400);
  EXPECT_EQ(host_.drops(drop::queue_full), 20 * (100 - fit));
  EXPECT_EQ(host_.drops(), 20 * (100 - fit));
  for (udp_socket* s : all) EXPECT_THAT(test::receive_all(*s), SizeIs(fit));
}

// ---- Errors

class errors : public receiving {
 protected:
  errors() : connected_(host_.open("0.0.0.0", 53)), open_(host_.open("0.0.0.0", 54)) {
    EXPECT_TRUE(connected_.connect(peer, host_.now));
  }
  // What a host says about a datagram that the socket has sent to the peer.
  void complain(const udp_socket& s, icmpv4_type type, std::uint8_t code, std::uint32_t rest = 0) {
    const endpoint_address local{here.address, s.local().port};
    host_.hear(
        test::icmp_error(ip("10.0.0.254"), here.address, type, code, test::udp_packet({peer, local}, "quoted"), rest));
  }
  static std::vector<queued_error> drain(udp_socket& s) {
    std::vector<queued_error> out;
    queued_error e;
    while (packet* quoted = s.errors().pop(e)) {
      release(quoted);
      out.push_back(e);
    }
    return out;
  }

  udp_socket& connected_;
  udp_socket& open_;
};

TEST_F(errors, a_refused_port_is_told_once) {
  complain(connected_, icmpv4_type::unreachable, 3);
  EXPECT_TRUE(connected_.has_pending_error());
  EXPECT_THAT(host_.ready, ElementsAre(&connected_));
  EXPECT_EQ(host_.send(connected_, "x").code(), ECONNREFUSED);
  EXPECT_TRUE(host_.send(connected_, "x"));
  complain(connected_, icmpv4_type::unreachable, 3);
  EXPECT_EQ(connected_.take_error(), ECONNREFUSED);
  EXPECT_EQ(connected_.take_error(), 0);
}

TEST_F(errors, the_refused_datagram_was_not_sent) {
  complain(connected_, icmpv4_type::unreachable, 3);
  host_.device.take_sent();
  EXPECT_FALSE(host_.send(connected_, "x"));
  EXPECT_TRUE(host_.device.take_sent().empty());
}

TEST_F(errors, only_hard_ones_reach_who_did_not_ask) {
  for (unsigned code = 0; code < 16; ++code) {
    if (code == 4) continue;
    complain(connected_, icmpv4_type::unreachable, static_cast<std::uint8_t>(code));
    const bool hard = code == 2 || code == 3 || (code >= 6 && code <= 10) || code >= 13;
    EXPECT_EQ(connected_.take_error() != 0, hard) << code;
  }
  complain(connected_, icmpv4_type::time_exceeded, 0);
  EXPECT_EQ(connected_.take_error(), 0);
  complain(connected_, icmpv4_type::parameter_problem, 0);
  EXPECT_EQ(connected_.take_error(), EPROTO);
}

TEST_F(errors, an_unconnected_socket_hears_none_unasked) {
  for (unsigned code = 0; code < 16; ++code) complain(open_, icmpv4_type::unreachable, static_cast<std::uint8_t>(code));
  EXPECT_EQ(open_.take_error(), 0);
  EXPECT_TRUE(open_.errors().empty());
}

TEST_F(errors, who_asked_gets_all_of_it) {
  open_.settings().receive_errors = true;
  complain(open_, icmpv4_type::unreachable, 1);
  complain(open_, icmpv4_type::unreachable, 4, 1280);
  EXPECT_EQ(open_.take_error(), EMSGSIZE);
  const auto all = drain(open_);
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].code, EHOSTUNREACH);
  EXPECT_EQ(all[0].origin, SO_EE_ORIGIN_ICMP);
  EXPECT_EQ(all[0].type, 3);
  EXPECT_EQ(all[0].icmp_code, 1);
  EXPECT_EQ(all[0].info, 0u);
  EXPECT_EQ(all[0].destination, peer);
  EXPECT_EQ(all[0].offender, ip("10.0.0.254"));
  EXPECT_EQ(all[1].code, EMSGSIZE);
  EXPECT_EQ(all[1].info, 1280u);
}

// sock_dequeue_err_skb: who reads the queue has been told.
TEST_F(errors, the_pending_error_follows_the_queue) {
  open_.settings().receive_errors = true;
  complain(open_, icmpv4_type::unreachable, 1);
  complain(open_, icmpv4_type::unreachable, 3);
  queued_error e;
  release(open_.pop_error(e));
  EXPECT_EQ(e.code, EHOSTUNREACH);
  EXPECT_EQ(open_.take_error(), ECONNREFUSED);
  release(open_.pop_error(e));
  EXPECT_EQ(e.code, ECONNREFUSED);
  EXPECT_FALSE(open_.has_pending_error());
  EXPECT_EQ(open_.pop_error(e), nullptr);
  complain(open_, icmpv4_type::unreachable, 3);
  EXPECT_EQ(open_.take_error(), ECONNREFUSED);
  EXPECT_FALSE(open_.errors().empty()) << "taking the error leaves the queue";
}

TEST_F(errors, a_local_error_leaves_the_pending_one) {
  connected_.settings().receive_errors = true;
  connected_.settings().mtu_discover = IP_PMTUDISC_DO;
  EXPECT_EQ(host_.send(connected_, std::string(1473, 'x')).code(), EMSGSIZE);
  complain(connected_, icmpv4_type::unreachable, 3);
  queued_error e;
  release(connected_.pop_error(e));
  EXPECT_EQ(e.origin, SO_EE_ORIGIN_LOCAL);
  EXPECT_EQ(connected_.take_error(), ECONNREFUSED);
}

TEST_F(errors, the_quoted_payload_comes_along) {
  open_.settings().receive_errors = true;
  complain(open_, icmpv4_type::unreachable, 3);
  queued_error e;
  packet* quoted = open_.errors().pop(e);
  ASSERT_NE(quoted, nullptr);
  EXPECT_EQ(test::bytes_of(quoted), "quoted");
  release(quoted);
}

TEST_F(errors, who_never_sets_df_needs_no_news_of_the_path) {
  connected_.settings().mtu_discover = IP_PMTUDISC_DONT;
  complain(connected_, icmpv4_type::unreachable, 4, 1280);
  EXPECT_EQ(connected_.take_error(), 0);
  EXPECT_EQ(*connected_.path_mtu(host_.now), 1280u);
}

TEST_F(errors, a_flood_of_them_is_bounded) {
  open_.settings().receive_errors = true;
  for (int i = 0; i < 1000; ++i) complain(open_, icmpv4_type::unreachable, 3);
  EXPECT_THAT(drain(open_), SizeIs(256));
}

TEST_F(errors, an_error_about_somebody_elses_datagram_is_nobodys) {
  const auto quote = [](const flow& about) { return test::udp_packet(about, "quoted"); };
  for (const std::string& quoted :
       {quote({peer, {here.address, 55}}), quote({{peer.address, 7}, connected_.local()}),
        quote({{ip("10.0.0.8"), 999}, connected_.local()}), quote({peer, {ip("10.0.0.2"), 53}})}) {
    host_.hear(test::icmp_error(peer.address, here.address, icmpv4_type::unreachable, 3, quoted));
  }
  EXPECT_EQ(connected_.take_error(), 0);
  EXPECT_EQ(host_.drops(drop::icmp_unmatched), 4u);
}

}  // namespace
}  // namespace fastudp
