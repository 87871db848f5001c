// The whole stack as one: what it is told, when it wants to be polled, how much it does at once, and two of them.

#include "stack/stack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
using test::prefix;
using testing::ElementsAre;
using testing::SizeIs;

TEST(stack, addresses_come_and_go_with_their_route) {
  node host(1);
  stack& s = *host.below;
  EXPECT_EQ(s.add_address({ip("10.0.0.1"), 24}, host.now).code(), EEXIST);
  EXPECT_EQ(s.add_address({ip("10.0.0.255"), 24}, host.now).code(), EINVAL);
  EXPECT_TRUE(s.add_address({ip("10.0.0.2"), 24}, host.now)) << "two may share a prefix";
  EXPECT_TRUE(s.remove_address(ip("10.0.0.1"), 0));
  EXPECT_EQ(s.remove_address(ip("10.0.0.1"), 0).code(), EADDRNOTAVAIL);
  EXPECT_EQ(s.add_route(prefix("10.0.0.0/24"), nullptr).code(), EEXIST) << "the other still needs its route";
  EXPECT_TRUE(s.remove_address(ip("10.0.0.2"), 0));
  EXPECT_EQ(s.out().find_path(ip("10.0.0.9"), {}, host.now).code(), ENETUNREACH);
}

TEST(stack, a_gateway_is_on_the_link) {
  node host(1);
  const ip_address near = ip("10.0.0.254"), far = ip("192.0.2.1");
  EXPECT_EQ(host.below->add_route({}, &far).code(), ENETUNREACH);
  EXPECT_TRUE(host.below->add_route({}, &near));
  EXPECT_EQ(host.below->add_route({}, &near).code(), EEXIST);
  EXPECT_TRUE(host.below->remove_route({}));
  EXPECT_EQ(host.below->remove_route({}).code(), ESRCH);
}

TEST(stack, a_poll_takes_no_more_than_its_budget) {
  node host(1);
  udp_socket& s = host.open("0.0.0.0", 53);
  for (int i = 0; i < 300; ++i) {
    host.device.to_receive.push_back(
        test::ethernet_frame(mac_of(1), mac_of(9), ether_type::ipv4,
                             test::udp_packet({{node::address_of(1), 53}, {node::address_of(9), 999}}, "x")));
  }
  EXPECT_EQ(host.below->poll(host.now, 1), 1u);
  EXPECT_EQ(host.below->poll(host.now, 128), 128u);
  EXPECT_EQ(host.below->poll(host.now, 1000), 300u - 128 - 1);
  EXPECT_EQ(host.below->poll(host.now, 1000), 0u);
  EXPECT_THAT(test::receive_all(s), SizeIs(212'992 / truesize(1)));
}

TEST(stack, says_when_it_wants_to_be_polled) {
  node host(1);
  EXPECT_EQ(host.below->deadline(), never);
  udp_socket& s = host.open();
  EXPECT_TRUE(host.send(s, "x", {node::address_of(9), 53}));
  EXPECT_EQ(host.below->deadline(), host.now + neighbour_table::retransmit);
  host.run_at(host.below->deadline());
  EXPECT_EQ(host.below->deadline(), host.now + neighbour_table::retransmit);
  const auto pieces = test::fragments_of(
      test::udp_packet({{node::address_of(1), 53}, {node::address_of(9), 7}}, std::string(99, 'x')), 16);
  host.hear(pieces[1]);
  EXPECT_LE(host.below->deadline(), host.now + neighbour_table::retransmit);
}

TEST(stack, announces_what_it_is_given) {
  node host(1, {.announce = true});
  std::vector<std::string> all;
  for (int i = 0; i < 20 && host.below->deadline() != never; ++i) {
    host.run_at(host.below->deadline());
    for (const std::string& frame : host.device.take_sent()) {
      const auto message = look_at(frame).who_has.value();
      EXPECT_EQ(message.target_address, ip("10.0.0.1"));
      all.push_back(message.sender_address.is_any() ? "probe" : "announcement");
    }
  }
  EXPECT_THAT(all, ElementsAre("probe", "probe", "probe", "announcement", "announcement"));
  EXPECT_EQ(host.below->deadline(), never);
}

TEST(stack, two_of_them_find_each_other_and_talk) {
  node a(1), b(2);
  a.device.peer = &b.device;
  b.device.peer = &a.device;
  const auto settle = [&] {
    while (!a.device.to_receive.empty() || !b.device.to_receive.empty()) a.run(), b.run();
  };
  udp_socket& client = a.open();
  udp_socket& server = b.open("0.0.0.0", 53);
  for (const std::size_t size : {0, 1, 1472, 1473, 20'000, 65'507}) {
    const std::string text(size, static_cast<char>('a' + size % 26));
    EXPECT_TRUE(a.send(client, text, {node::address_of(2), 53}));
    settle();
    ASSERT_TRUE(server.has_datagram()) << size;
    const endpoint_address back = sender_of(*server.front());
    EXPECT_EQ(back, (endpoint_address{node::address_of(1), client.local().port}));
    EXPECT_EQ(test::receive(server), text);
    EXPECT_TRUE(b.send(server, text, back));
    settle();
    EXPECT_EQ(test::receive(client), text) << size;
  }
  EXPECT_EQ(a.drops() + b.drops(), 0u);
}

TEST(stack, the_same_seed_gives_the_same_frames) {
  const auto run = [] {
    node host(1, {.announce = true});
    udp_socket& s = host.open();
    s.settings().mtu_discover = 0;
    host.know(9);
    for (int i = 0; i < 10; ++i) {
      EXPECT_TRUE(host.send(s, std::string(3000, 'x'), {node::address_of(9), 53}));
      host.run_at(host.now + second);
    }
    return host.device.take_sent();
  };
  EXPECT_EQ(run(), run());
}

TEST(stack, a_flood_from_everywhere_leaves_the_memory_as_it_was) {
  node host(1, {.neighbours = 64});
  host.open("0.0.0.0", 53);
  const auto from = [](unsigned n) { return ipv4_address::from_number(0x0a000000u + n % 256); };
  for (unsigned n = 0; n < 100'000; ++n) {
    const flow where{{node::address_of(1), static_cast<std::uint16_t>(n % 3 == 0 ? 53 : 54)}, {from(n), 999}};
    host.device.to_receive.push_back(test::ethernet_frame(
        mac_of(1), mac_of(n), n % 5 == 0 ? ether_type::arp : ether_type::ipv4, test::udp_packet(where, "spoofed")));
    if (n % 64 == 0) host.run(), host.device.take_sent();
    if (n % 1000 == 0) host.run_at(host.now + second);
  }
  host.run();
  EXPECT_LE(host.below->neighbours().size(), 64u);
  EXPECT_LE(host.device.out(), 512u);
  host.device.take_sent();
  host.know(9);
  EXPECT_TRUE(host.send(host.open(), "still here", {node::address_of(9), 53}));
  EXPECT_THAT(host.device.take_sent(), SizeIs(1));
}

}  // namespace
}  // namespace fastudp
