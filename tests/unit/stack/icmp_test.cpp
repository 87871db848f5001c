// ICMP: what is answered, what is told to sockets, what we complain about and how often.

#include "stack/icmp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "support/node.h"

namespace fastudp {
namespace {

using test::ip;
using test::look_at;
using test::mac_of;
using test::node;
using test::seen;
using testing::SizeIs;

constexpr endpoint_address here{node::address_of(1), 53}, peer{node::address_of(9), 999};
constexpr flow conversation{here, peer};

class icmp : public testing::Test {
 protected:
  icmp() { host_.know(9); }

  std::vector<seen> sent() {
    std::vector<seen> all;
    for (const std::string& frame : host_.device.take_sent()) all.push_back(look_at(frame));
    return all;
  }
  static std::string echo_request(std::string_view payload, const char* to = "10.0.0.1") {
    return test::icmp_packet(peer.address, ip(to), {.type = icmpv4_type::echo_request, .rest = 0x12345678}, payload);
  }
  std::uint64_t unmatched() const { return host_.drops(drop::icmp_unmatched); }
  std::uint64_t malformed() const { return host_.drops(drop::icmp_malformed); }
  std::uint64_t ignored() const { return host_.drops(drop::icmp_ignored); }

  node host_{1};
};

// ---- Echo

TEST_F(icmp, an_echo_request_is_answered_with_its_own_bytes) {
  for (const std::size_t size : {0, 1, 7, 56, 1472}) {
    const std::string payload(size, 'e');
    host_.hear(echo_request(payload));
    const auto frames = host_.device.take_sent();
    ASSERT_THAT(frames, SizeIs(1));
    const seen answer = look_at(frames[0]);
    EXPECT_EQ(answer.link.destination, mac_of(9));
    EXPECT_EQ(answer.ip->source, here.address);
    EXPECT_EQ(answer.ip->destination, peer.address);
    EXPECT_EQ(answer.message->type, icmpv4_type::echo_reply);
    EXPECT_EQ(answer.message->rest, 0x12345678u);
    EXPECT_EQ(answer.payload, payload);
    EXPECT_TRUE(verify_checksum(test::octets(std::string_view(frames[0]).substr(34))));
  }
  EXPECT_EQ(host_.drops(), 0u);
}

TEST_F(icmp, padding_is_not_echoed) {
  std::string request = echo_request("pad");
  request.resize(46, '\xee');
  host_.hear(request);
  EXPECT_EQ(sent().at(0).payload, "pad");
}

TEST_F(icmp, an_echo_request_in_pieces_is_answered_in_pieces) {
  const std::string payload(5000, 'e');
  for (const std::string& piece : test::fragments_of(echo_request(payload), 1480)) host_.hear(piece);
  std::string together;
  for (const std::string& frame : host_.device.take_sent()) together += frame.substr(34);
  ASSERT_EQ(together.size(), payload.size() + 8);
  EXPECT_EQ(together[0], 0);
  EXPECT_TRUE(verify_checksum(test::octets(std::string_view(together))));
  EXPECT_EQ(together.substr(8), payload);
}

TEST_F(icmp, a_request_keeps_its_type_of_service) {
  std::string request = echo_request("tos");
  request[1] = '\x2e';
  test::fix_ip_checksum(request);
  host_.hear(request);
  const seen answer = sent().at(0);
  EXPECT_EQ(answer.ip->dscp << 2 | answer.ip->ecn, 0x2e);
}

TEST_F(icmp, nobody_makes_a_crowd_answer) {
  host_.hear(echo_request("all", "10.0.0.255"));
  host_.hear(echo_request("all", "255.255.255.255"));
  host_.hear_frame(test::ethernet_frame(broadcast_mac, mac_of(9), ether_type::ipv4, echo_request("all")));
  EXPECT_THAT(sent(), SizeIs(0));
  EXPECT_EQ(ignored(), 3u);
}

TEST_F(icmp, a_broken_message_is_dropped) {
  std::string bad = echo_request("broken");
  bad.back() ^= 1;
  host_.hear(bad);
  host_.hear(test::ip_packet(
      {.protocol = ip_protocol::icmp, .source = peer.address.ipv4(), .destination = here.address.ipv4()}, "7 bytes"));
  EXPECT_EQ(malformed(), 2u);
  for (const auto type : {icmpv4_type::unreachable, icmpv4_type::time_exceeded}) {
    std::string error = test::icmp_error(peer.address, here.address, type, 0, test::udp_packet({peer, here}, "quoted"));
    error[40] ^= 1;
    host_.hear(error);
  }
  EXPECT_EQ(malformed(), 4u);
  EXPECT_THAT(sent(), SizeIs(0));
}

TEST_F(icmp, types_that_a_host_does_not_answer) {
  for (const unsigned type : {0u, 4u, 5u, 9u, 10u, 13u, 15u, 17u, 42u, 255u}) {
    host_.hear(test::icmp_packet(peer.address, here.address, {.type = static_cast<icmpv4_type>(type)}, "payload"));
  }
  EXPECT_EQ(ignored(), 10u);
  EXPECT_THAT(sent(), SizeIs(0));
}

// ---- Errors that come in

TEST_F(icmp, only_what_a_socket_sent_may_lower_a_path_mtu) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  ASSERT_TRUE(s.connect(peer, host_.now));
  const auto complain = [&](std::string_view quoted) {
    host_.hear(test::icmp_error(ip("10.0.0.254"), here.address, icmpv4_type::unreachable, 4, quoted, 1280));
  };
  const std::string good = test::udp_packet({peer, here}, "quoted");
  std::string other_protocol = good, later_fragment = good, other_version = good;
  other_protocol[9] = 6;
  later_fragment[7] = 1;
  other_version[0] = 0x65;
  std::size_t wrong = 0;
  for (const std::string& quoted :
       {std::string(), good.substr(0, 19), good.substr(0, 27), other_protocol, later_fragment, other_version,
        test::udp_packet({{ip("10.0.0.8"), 999}, here}, "x"), test::udp_packet({peer, {ip("10.0.0.2"), 53}}, "x")}) {
    complain(quoted);
    EXPECT_EQ(unmatched(), ++wrong);
    EXPECT_EQ(*s.path_mtu(host_.now), 1500u) << wrong;
  }
  complain(good.substr(0, 28));
  EXPECT_EQ(unmatched(), wrong) << "RFC 792: eight bytes are enough";
  EXPECT_EQ(*s.path_mtu(host_.now), 1280u);
}

TEST_F(icmp, a_path_mtu_never_rises_by_a_report) {
  udp_socket& s = host_.open("0.0.0.0", 53);
  ASSERT_TRUE(s.connect(peer, host_.now));
  const std::string quoted = test::udp_packet({peer, here}, "quoted");
  for (const std::uint32_t mtu : {1400u, 1300u, 1350u, 9000u}) {
    host_.hear(test::icmp_error(peer.address, here.address, icmpv4_type::unreachable, 4, quoted, mtu));
  }
  EXPECT_EQ(*s.path_mtu(host_.now), 1300u);
}

// ---- Errors that we send

class complaining : public icmp {
 protected:
  std::vector<seen> answers_to(std::string_view packet, const mac_address& to = mac_of(1)) {
    host_.hear_frame(test::ethernet_frame(to, mac_of(9), ether_type::ipv4, packet));
    return sent();
  }
};

TEST_F(complaining, a_closed_port_is_told_to_the_sender) {
  const std::string packet = test::udp_packet(conversation, "anybody?");
  const auto all = answers_to(packet);
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].ip->source, here.address);
  EXPECT_EQ(all[0].ip->destination, peer.address);
  EXPECT_EQ(all[0].ip->dscp << 2 | all[0].ip->ecn, 0xc0);
  EXPECT_EQ(all[0].message->type, icmpv4_type::unreachable);
  EXPECT_EQ(all[0].message->code, 3);
  EXPECT_EQ(all[0].message->rest, 0u);
  EXPECT_EQ(all[0].payload, packet);
  EXPECT_EQ(host_.drops(drop::no_socket), 1u);
}

TEST_F(complaining, the_quote_ends_where_the_error_is_576_bytes_long) {
  const std::string packet = test::udp_packet(conversation, std::string(1400, 'q'));
  const auto all = answers_to(packet);
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].ip->total_length, 576);
  EXPECT_EQ(all[0].payload, packet.substr(0, 548));
}

// RFC 1122 3.2.2
TEST_F(complaining, never_about_what_came_to_or_from_many_nor_about_an_error) {
  const auto from_to = [](const char* from, const char* to) {
    return test::udp_packet({{ip(to), 53}, {ip(from), 999}}, "x");
  };
  EXPECT_THAT(answers_to(from_to("10.0.0.9", "10.0.0.255")), SizeIs(0));
  EXPECT_THAT(answers_to(from_to("10.0.0.9", "255.255.255.255")), SizeIs(0));
  EXPECT_THAT(answers_to(from_to("0.0.0.0", "255.255.255.255")), SizeIs(0));
  EXPECT_THAT(answers_to(from_to("10.0.0.9", "10.0.0.1"), broadcast_mac), SizeIs(0)) << "a broadcast of the link";
  EXPECT_THAT(answers_to(test::icmp_error(peer.address, here.address, icmpv4_type::unreachable, 3, "quoted")),
              SizeIs(0));
}

// The layers above ask to complain about none of these; that it doesn't happen is not left to them.
TEST_F(complaining, rfc1122_3_2_2_the_offending_packet_itself_says_whether_it_may_be_told) {
  path_mtu_cache path_mtu(1);
  rate_limiter limit(1);
  icmp_host complainer(host_.below->out(), host_.below->addresses(), path_mtu, host_.sockets, limit, 1500, host_.count);
  ASSERT_TRUE(host_.below->add_route(test::prefix("0.0.0.0/0"), &peer.address));
  const auto from_to = [](const char* from, const char* to) {
    return test::udp_packet({{ip(to), 53}, {ip(from), 999}}, "x");
  };
  std::string later = from_to("10.0.0.9", "10.0.0.1"), first = later;
  later[7] = 1;
  first[6] = 0x20;
  const auto icmp_of = [](icmpv4_type type) {
    return test::icmp_packet(peer.address, here.address, {.type = type}, std::string(28, 'q'));
  };
  std::string cut = icmp_of(icmpv4_type::echo_request);
  cut.resize(24);
  struct {
    const char* what;
    std::string packet;
    bool told;
  } const rows[] = {{"a datagram", from_to("10.0.0.9", "10.0.0.1"), true},
                    {"a first fragment", first, true},
                    {"a later fragment", later, false},
                    {"from the any address", from_to("0.0.0.0", "10.0.0.1"), false},
                    {"from a group", from_to("224.0.0.9", "10.0.0.1"), false},
                    {"from a reserved address", from_to("240.0.0.9", "10.0.0.1"), false},
                    {"from everybody", from_to("255.255.255.255", "10.0.0.1"), false},
                    {"from all of the network", from_to("10.0.0.255", "10.0.0.1"), false},
                    {"to a group", from_to("10.0.0.9", "224.0.0.1"), false},
                    {"to everybody", from_to("10.0.0.9", "255.255.255.255"), false},
                    {"to all of the network", from_to("10.0.0.9", "10.0.0.255"), false},
                    {"an echo request", icmp_of(icmpv4_type::echo_request), true},
                    {"an echo reply", icmp_of(icmpv4_type::echo_reply), true},
                    {"an unreachable", icmp_of(icmpv4_type::unreachable), false},
                    {"a source quench", icmp_of(icmpv4_type::source_quench), false},
                    {"a redirect", icmp_of(icmpv4_type::redirect), false},
                    {"a time exceeded", icmp_of(icmpv4_type::time_exceeded), false},
                    {"a parameter problem", icmp_of(icmpv4_type::parameter_problem), false},
                    {"an ICMP message that is cut", cut, false}};
  const auto complain = [&](const std::string& packet) {
    fastudp::packet* offending = host_.below->store().take(static_cast<std::uint32_t>(packet.size()));
    ASSERT_NE(offending, nullptr);
    std::memcpy(offending->data(), packet.data(), packet.size());
    offending->length = static_cast<std::uint32_t>(packet.size());
    offending->network = offending->begin;
    complainer.send_error(icmpv4_type::unreachable, 2, *offending, host_.now);
    host_.below->flush(host_.now);
    release(offending);
  };
  for (const auto& [what, packet, told] : rows) {
    host_.now += 100 * second;
    for (int i = 0; i < 6; ++i) complain(packet);
    EXPECT_THAT(sent(), SizeIs(told ? 6 : 0)) << what;
    EXPECT_EQ(host_.drops(), 0u) << what;
    if (told) continue;
    complain(from_to("10.0.0.9", "10.0.0.1"));
    EXPECT_THAT(sent(), SizeIs(1)) << what << " has used up nothing";
  }
}

TEST_F(complaining, to_one_host_six_and_then_one_a_second) {
  const std::string packet = test::udp_packet(conversation, "x");
  std::size_t answers = 0;
  for (int i = 0; i < 20; ++i) answers += answers_to(packet).size();
  EXPECT_EQ(answers, 6u);
  EXPECT_EQ(host_.drops(drop::icmp_rate_limited), 14u);
  host_.run_at(host_.now + second);
  EXPECT_THAT(answers_to(packet), SizeIs(1));
  EXPECT_THAT(answers_to(packet), SizeIs(0));
}

TEST_F(complaining, a_datagram_whose_pieces_do_not_come_is_told_if_the_first_came) {
  const auto pieces = test::fragments_of(test::udp_packet(conversation, std::string(3000, 'f')), 1480);
  host_.hear(pieces[0]);
  host_.run_at(host_.now + 31 * second);
  const auto all = sent();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].message->type, icmpv4_type::time_exceeded);
  EXPECT_EQ(all[0].message->code, 1);
  EXPECT_EQ(all[0].payload.substr(20), pieces[0].substr(20, 528));
  host_.hear(pieces[1]);
  host_.run_at(host_.now + 31 * second);
  EXPECT_THAT(sent(), SizeIs(0));
  EXPECT_EQ(host_.drops(drop::fragment_timeout), 2u);
}

TEST_F(complaining, to_ourselves_as_to_anybody) {
  udp_socket& s = host_.open("0.0.0.0", 54);
  ASSERT_TRUE(s.connect({ip("127.0.0.1"), 53}, host_.now));
  EXPECT_TRUE(host_.send(s, "anybody?"));
  EXPECT_EQ(s.take_error(), ECONNREFUSED);
}

}  // namespace
}  // namespace fastudp
