// What a host makes of what routers say, clause by clause: messages in, what follows from them out, the time in the
// hand.

#include "stack/router_discovery.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/packets.h"
#include "unit/stack/neighbours_support.h"

namespace fastudp {
namespace {

using test::dropped;
using test::ip;
using test::mac_of;
using test::packet_of;
using test::prefix;

constexpr std::uint32_t link_mtu = 1500, for_ever = 0xffff'ffff;
constexpr duration hour = 3600 * second;
const ip_address router = ip("fe80::1"), other_router = ip("fe80::2"), near = ip("fe80::ff:fe00:1");

nd_prefix_option prefix_option(std::string_view text, std::uint32_t valid, std::uint32_t preferred) {
  const ip_prefix what = prefix(text);
  return {.prefix_length = what.length,
          .on_link = 1,
          .autonomous = 1,
          .valid_lifetime = valid,
          .preferred_lifetime = preferred,
          .prefix = what.address.ipv6()};
}
std::string bytes_of(const nd_prefix_option& option) { return packet_of(option, ""); }
std::string prefix_of(std::string_view text, std::uint32_t valid = 7200, std::uint32_t preferred = 3600) {
  return bytes_of(prefix_option(text, valid, preferred));
}
std::string mtu_of(std::uint32_t mtu) { return packet_of(nd_mtu_option{.mtu = mtu}, ""); }
std::string mac_option(const mac_address& mac) {
  return packet_of(nd_link_layer_option{.type = nd_option_type::source_link_layer, .mac = mac}, "");
}

// A link on which all that follows is remembered, as the tables of a stack would.
class host final : public router_events {
 public:
  explicit host(bool checks = false) : checks_(checks) { discovery.start(checks, now); }
  // One that was never started.
  explicit host(std::nullptr_t) : checks_(false) {}

  void solicit_routers() override { asked.push_back(now); }
  bool try_address(const ip_address& address, time_point when) override {
    if (!may_try) return false;
    tried.push_back(address);
    if (!checks_) discovery.is_unique(address, when);
    return true;
  }
  bool add_address(const ip_address& address) override {
    if (has_room) ours.insert({address.low() ^ address.high(), address});
    return has_room;
  }
  void set_deprecated(const ip_address& address, bool yes) override {
    yes ? (void)deprecated.insert(address.low()) : (void)deprecated.erase(address.low());
  }
  void drop_address(const ip_address& address, time_point) override {
    dropped_addresses.push_back(address);
    ours.erase(address.low() ^ address.high());
    deprecated.erase(address.low());
  }
  void set_on_link(const ip_prefix& what, bool yes) override {
    yes ? (void)on_link.insert(text(what)) : (void)on_link.erase(text(what));
  }
  void set_default_router(const ip_address* by) override { gateway = by != nullptr ? to_text(*by).c_str() : ""; }
  void set_mtu_v6(std::uint32_t to) override { mtu = to; }
  void set_hop_limit(std::uint8_t to) override { hops = to; }

  void hear(const router_advertisement& told, std::string_view options = "", const ip_address& from = router,
            std::uint8_t ttl = 255) {
    packet* p = pool.make(packet_of(told, options));
    discovery.receive({.datagram = p, .source = from, .destination = all_nodes_group, .ttl = ttl}, now);
  }
  void hear(std::string_view options) { hear({.lifetime = 1800}, options); }
  void run_at(time_point when) {
    now = when;
    neighbours.table.advance(now);
    discovery.advance(now);
  }
  void wait(duration time) { run_at(now + time); }
  bool knows_nothing() const {
    return gateway.empty() && on_link.empty() && ours.empty() && tried.empty() && mtu == link_mtu && hops == 64 &&
           neighbours.table.size() == 0;
  }
  ip_address only_address() const {
    EXPECT_EQ(ours.size(), 1u);
    return ours.empty() ? ip_address() : ours.begin()->second;
  }

  time_point now = 1000 * second;
  std::vector<time_point> asked;
  std::vector<ip_address> tried, dropped_addresses;
  std::map<std::uint64_t, ip_address> ours;
  std::set<std::uint64_t> deprecated;
  std::set<std::string> on_link;
  std::string gateway;
  std::uint32_t mtu = link_mtu;
  std::uint8_t hops = 64;
  bool may_try = true, has_room = true;

 private:
  static std::string text(const ip_prefix& p) { return to_text(p.address).c_str() + ("/" + std::to_string(p.length)); }
  bool checks_;

 public:
  test::neighbour_world neighbours;
  test::frames pool;
  counters count;
  random_source random{1};
  router_discovery discovery{{*this, neighbours.table, random, count}, {mac_of(1), {7, 8}}, link_mtu};
};

// ---- RFC 4861 6.3.7: solicitations

TEST(router_discovery, rfc4861_6_3_7_three_solicitations_four_seconds_apart_after_a_random_delay) {
  host h;
  const time_point begin = h.now;
  while (h.discovery.deadline() != never) h.run_at(h.discovery.deadline());
  ASSERT_EQ(h.asked.size(), 3u);
  EXPECT_GT(h.asked[0], begin);
  EXPECT_LE(h.asked[0], begin + second);
  EXPECT_EQ(h.asked[1] - h.asked[0], 4 * second);
  EXPECT_EQ(h.asked[2] - h.asked[1], 4 * second);
}

TEST(router_discovery, rfc4861_6_3_7_asks_no_more_once_a_router_has_answered) {
  host h;
  h.run_at(h.discovery.deadline());
  h.hear({.lifetime = 0});
  EXPECT_NE(h.discovery.deadline(), never) << "no default router";
  h.hear({.lifetime = 9000});
  EXPECT_EQ(h.discovery.deadline(), h.now + 9000 * second);
  h.wait(5000 * second);
  EXPECT_EQ(h.asked.size(), 1u);
}

TEST(router_discovery, rfc4861_6_3_7_asks_once_though_one_spoke_before) {
  host h;
  h.hear({.lifetime = 9000});
  h.wait(second);
  EXPECT_EQ(h.asked.size(), 1u);
}

TEST(router_discovery, asks_when_its_own_address_is_known_to_be_unique) {
  host h(true);
  EXPECT_EQ(h.discovery.deadline(), never);
  h.discovery.is_unique(ip("2001:db8::9"), h.now);
  EXPECT_EQ(h.discovery.deadline(), never) << "another address";
  h.discovery.is_unique(near, h.now);
  h.wait(0);
  EXPECT_EQ(h.asked.size(), 1u);
  h.discovery.is_unique(near, h.now);
  EXPECT_GT(h.discovery.deadline(), h.now) << "once";
}

// ---- RFC 4861 6.1.2: what is no advertisement

TEST(router_discovery, without_being_started_nothing_is_believed) {
  host h(nullptr);
  h.hear({.hop_limit = 9, .lifetime = 1800}, prefix_of("2001:db8::/64") + mtu_of(1400) + mac_option(mac_of(2)));
  EXPECT_TRUE(h.knows_nothing());
  EXPECT_EQ(dropped(h.count, drop::icmp_ignored), 1u);
  EXPECT_EQ(h.discovery.deadline(), never);
}

TEST(router_discovery, rfc4861_6_1_2_what_came_through_a_router_or_from_elsewhere_is_not_believed) {
  host h;
  const std::string options = prefix_of("2001:db8::/64") + mtu_of(1400) + mac_option(mac_of(2));
  h.hear({.hop_limit = 9, .lifetime = 1800}, options, router, 254);
  h.hear({.hop_limit = 9, .lifetime = 1800}, options, ip("2001:db8::1"));
  h.hear({.hop_limit = 9, .lifetime = 1800}, options, ip("::"));
  h.hear({.code = 1, .hop_limit = 9, .lifetime = 1800}, options);
  EXPECT_TRUE(h.knows_nothing());
  EXPECT_EQ(dropped(h.count, drop::icmp_ignored), 4u);
}

TEST(router_discovery, rfc4861_6_1_2_malformed_options_spoil_the_whole) {
  host h;
  const std::string options = prefix_of("2001:db8::/64") + mtu_of(1400) + mac_option(mac_of(2));
  const std::string no_length("\1\0\0\0\0\0\0\0", 8), too_long("\1\2\0\0\0\0\0\0", 8);
  for (const std::string& wrong : {no_length, too_long, std::string("\5"), std::string("\5\1\0", 3)}) {
    h.hear({.hop_limit = 9, .lifetime = 1800}, options + wrong);
    h.hear({.hop_limit = 9, .lifetime = 1800}, wrong + options);
  }
  packet* p = h.pool.make(packet_of(router_advertisement{.lifetime = 1800}, "").substr(0, 15));
  h.discovery.receive({.datagram = p, .source = router, .destination = all_nodes_group, .ttl = 255}, h.now);
  EXPECT_TRUE(h.knows_nothing());
  EXPECT_EQ(dropped(h.count, drop::icmp_malformed), 9u);
}

TEST(router_discovery, rfc4861_4_6_unknown_options_and_short_ones_are_passed_over) {
  host h;
  std::string unknown(16, '\0'), short_prefix(8, '\0');
  unknown[0] = 77, unknown[1] = 2;
  short_prefix[0] = 3, short_prefix[1] = 1;
  h.hear(unknown + short_prefix + mtu_of(1400));
  EXPECT_EQ(h.mtu, 1400u);
  EXPECT_TRUE(h.on_link.empty());
}

// ---- RFC 4861 6.3.4: routers

TEST(router_discovery, rfc4861_6_3_4_a_router_lasts_as_long_as_it_says) {
  host h;
  h.hear({.lifetime = 30});
  EXPECT_EQ(h.gateway, "fe80::1");
  h.wait(20 * second);
  h.hear({.lifetime = 30});
  h.wait(29 * second);
  EXPECT_EQ(h.gateway, "fe80::1") << "it said so again";
  EXPECT_EQ(h.discovery.deadline(), h.now + second);
  h.wait(second);
  EXPECT_EQ(h.gateway, "");
}

TEST(router_discovery, rfc4861_6_3_4_a_lifetime_of_0_ends_it) {
  host h;
  h.hear({.lifetime = 0});
  EXPECT_EQ(h.gateway, "");
  h.hear({.lifetime = 1800});
  h.hear({.lifetime = 1800}, "", other_router);
  h.hear({.lifetime = 0});
  EXPECT_EQ(h.gateway, "fe80::2");
  h.hear({.lifetime = 0}, "", other_router);
  EXPECT_EQ(h.gateway, "");
}

TEST(router_discovery, the_router_in_use_stays_while_it_lasts) {
  host h;
  h.hear({.lifetime = 100}, "", other_router);
  h.hear({.lifetime = 1800});
  h.hear({.lifetime = 100}, "", other_router);
  EXPECT_EQ(h.gateway, "fe80::2");
  h.wait(100 * second);
  EXPECT_EQ(h.gateway, "fe80::1");
  h.hear({.lifetime = 100}, "", other_router);
  EXPECT_EQ(h.gateway, "fe80::1");
}

TEST(router_discovery, rfc4861_6_3_6_one_that_does_not_answer_makes_way) {
  host h;
  h.hear({.lifetime = 1800});
  h.hear({.lifetime = 1800}, "", other_router);
  ASSERT_NE(h.neighbours.table.use(router, h.now), nullptr);
  for (int i = 0; i < 4; ++i) h.wait(second);
  EXPECT_EQ(h.neighbours.state(router), neighbour_state::failed);
  EXPECT_EQ(h.gateway, "fe80::2");
  h.wait(2 * neighbour_table::failed_for);
  EXPECT_EQ(h.gateway, "fe80::2") << "the one in use answers";
}

TEST(router_discovery, one_that_does_not_answer_is_better_than_none) {
  host h;
  h.hear({.lifetime = 1800});
  ASSERT_NE(h.neighbours.table.use(router, h.now), nullptr);
  for (int i = 0; i < 4; ++i) h.wait(second);
  EXPECT_EQ(h.gateway, "fe80::1");
}

TEST(router_discovery, rfc4861_7_2_5_one_that_stops_routing_is_left) {
  host h;
  h.hear({.lifetime = 1800});
  h.discovery.is_no_router(other_router, h.now);
  EXPECT_EQ(h.gateway, "fe80::1");
  h.discovery.is_no_router(router, h.now);
  EXPECT_EQ(h.gateway, "");
}

TEST(router_discovery, rfc4861_6_3_4_the_routers_link_layer_address_is_a_stale_neighbours) {
  host h;
  h.hear(mac_option(mac_of(2)));
  ASSERT_NE(h.neighbours.table.find(router), nullptr);
  EXPECT_EQ(h.neighbours.table.find(router)->mac, mac_of(2));
  EXPECT_EQ(h.neighbours.state(router), neighbour_state::stale);
}

TEST(router_discovery, a_router_that_is_not_to_be_used_makes_no_neighbour) {
  host h;
  h.hear({.lifetime = 0}, mac_option(mac_of(2)));
  EXPECT_EQ(h.neighbours.table.size(), 0u);
}

TEST(router_discovery, a_group_is_no_routers_link_layer_address) {
  host h;
  h.hear(mac_option({{0x33, 0x33, 0, 0, 0, 1}}) + mac_option({}));
  EXPECT_EQ(h.neighbours.table.find(router), nullptr);
}

TEST(router_discovery, routers_are_bounded_and_the_first_ones_stay) {
  host h;
  h.hear({.lifetime = 1800});
  for (unsigned i = 0; i < 10'000; ++i) {
    ip_address flood = ip("fe80::9:0:0:0");
    flood.bytes[14] = static_cast<std::uint8_t>(i >> 8), flood.bytes[15] = static_cast<std::uint8_t>(i);
    h.hear({.lifetime = 9000}, "", flood);
  }
  EXPECT_EQ(h.gateway, "fe80::1");
  h.hear({.lifetime = 0});
  std::size_t left = 0;
  while (!h.gateway.empty()) {
    h.hear({.lifetime = 0}, "", ip(h.gateway));
    ++left;
  }
  EXPECT_EQ(left, router_discovery::most_routers - 1);
}

// ---- RFC 4861 6.3.4: the link

TEST(router_discovery, rfc4861_6_3_4_the_hop_limit_is_taken_unless_it_is_0) {
  host h;
  h.hear({.hop_limit = 9});
  EXPECT_EQ(h.hops, 9);
  h.hear({.hop_limit = 0});
  EXPECT_EQ(h.hops, 9);
}

TEST(router_discovery, rfc4861_6_3_4_the_mtu_is_between_ipv6s_least_and_the_links) {
  host h;
  for (const std::uint32_t wrong : {0u, 1279u, 1501u, 0xffff'ffffu}) h.hear(mtu_of(wrong));
  EXPECT_EQ(h.mtu, link_mtu);
  for (const std::uint32_t right : {1280u, 1400u, 1500u}) {
    h.hear(mtu_of(right));
    EXPECT_EQ(h.mtu, right);
  }
}

TEST(router_discovery, rfc4861_6_3_4_a_prefix_is_on_the_link_as_long_as_it_is_valid) {
  host h;
  auto told = prefix_option("2001:db8::/48", 100, 100);
  told.autonomous = 0;
  h.hear(bytes_of(told));
  EXPECT_EQ(h.on_link, std::set<std::string>{"2001:db8::/48"});
  h.wait(99 * second);
  h.hear(bytes_of(told));
  h.wait(99 * second);
  EXPECT_EQ(h.on_link.size(), 1u) << "it said so again";
  h.wait(second);
  EXPECT_TRUE(h.on_link.empty());
}

TEST(router_discovery, rfc4861_6_3_4_a_valid_lifetime_of_0_takes_it_off_at_once) {
  host h;
  h.hear(prefix_of("2001:db8::/48", 0, 0));
  EXPECT_TRUE(h.on_link.empty());
  h.hear(prefix_of("2001:db8::/48"));
  h.hear(prefix_of("2001:db8::/48", 0, 0));
  EXPECT_TRUE(h.on_link.empty());
}

TEST(router_discovery, rfc4861_6_3_4_without_the_flag_nothing_is_said_about_it) {
  host h;
  auto told = prefix_option("2001:db8::/64", 7200, 3600);
  told.on_link = 0;
  h.hear(bytes_of(told));
  EXPECT_TRUE(h.on_link.empty());
  EXPECT_EQ(h.ours.size(), 1u) << "the other flag still holds";
  h.hear(prefix_of("2001:db8::/64"));
  h.hear(bytes_of(told));
  EXPECT_EQ(h.on_link.size(), 1u);
}

TEST(router_discovery, the_bits_behind_the_prefix_do_not_matter) {
  host h;
  h.hear(prefix_of("2001:db8::1:2:3:4/64") + prefix_of("2001:db8::4:3:2:1/64"));
  EXPECT_EQ(h.on_link, std::set<std::string>{"2001:db8::/64"});
  EXPECT_EQ(h.ours.size(), 1u);
}

TEST(router_discovery, rfc4862_5_5_3_b_prefixes_that_are_no_networks_are_ignored) {
  host h;
  h.hear(prefix_of("fe80::/64") + prefix_of("ff0e::/64") + prefix_of("::/0") + prefix_of("::/64"));
  auto mapped = prefix_option("::/96", 7200, 3600), too_long = prefix_option("2001:db8::/64", 7200, 3600);
  mapped.prefix = ip_address(ipv4_address{}).ipv6();
  too_long.prefix_length = 129;
  h.hear(bytes_of(mapped) + bytes_of(too_long));
  EXPECT_TRUE(h.on_link.empty());
  EXPECT_TRUE(h.tried.empty());
}

TEST(router_discovery, for_ever_is_for_ever) {
  host h;
  h.hear({.lifetime = 0}, prefix_of("2001:db8::/64", for_ever, for_ever));
  while (h.discovery.deadline() != never) h.run_at(h.discovery.deadline());
  h.wait(1'000'000 * hour);
  EXPECT_EQ(h.on_link.size(), 1u);
  EXPECT_EQ(h.ours.size(), 1u);
  EXPECT_TRUE(h.deprecated.empty());
}

TEST(router_discovery, prefixes_are_bounded_and_the_first_ones_stay) {
  host h;
  h.hear(prefix_of("2001:db8::/64"));
  const ip_address first = h.only_address();
  for (unsigned i = 0; i < 10'000; ++i) {
    auto told = prefix_option("2001:db9::/64", for_ever, for_ever);
    told.prefix.bytes[6] = static_cast<std::uint8_t>(i >> 8), told.prefix.bytes[7] = static_cast<std::uint8_t>(i);
    h.hear(bytes_of(told));
  }
  EXPECT_EQ(h.on_link.size(), router_discovery::most_prefixes);
  EXPECT_EQ(h.ours.size(), router_discovery::most_prefixes);
  EXPECT_TRUE(h.on_link.contains("2001:db8::/64"));
  EXPECT_TRUE(h.ours.contains(first.low() ^ first.high()));
}

TEST(router_discovery, a_prefix_that_is_over_makes_room) {
  host h;
  for (const char* text : {"2001:db8:1::/64", "2001:db8:2::/64", "2001:db8:3::/64", "2001:db8:4::/64",
                           "2001:db8:5::/64", "2001:db8:6::/64", "2001:db8:7::/64", "2001:db8:8::/64"}) {
    h.hear(prefix_of(text, 100, 100));
  }
  h.hear(prefix_of("2001:db8:9::/64"));
  EXPECT_FALSE(h.on_link.contains("2001:db8:9::/64"));
  h.wait(100 * second);
  EXPECT_TRUE(h.on_link.empty());
  h.hear(prefix_of("2001:db8:9::/64"));
  EXPECT_TRUE(h.on_link.contains("2001:db8:9::/64"));
}

// ---- RFC 4862 5.5.3: addresses

TEST(router_discovery, rfc4862_5_5_3_d_an_address_is_formed_of_the_prefix_and_a_stable_identifier) {
  host h;
  h.hear(prefix_of("2001:db8::/64"));
  EXPECT_EQ(h.only_address(), stable_address(ip("2001:db8::"), {mac_of(1), {7, 8}}, 0));
  h.hear(prefix_of("2001:db8::/64"));
  EXPECT_EQ(h.tried.size(), 1u) << "once";
  EXPECT_TRUE(h.discovery.has_formed(h.only_address()));
  EXPECT_FALSE(h.discovery.has_formed(ip("2001:db8::1")));
}

TEST(router_discovery, rfc4862_5_5_3_a_without_the_flag_there_is_none) {
  host h;
  auto told = prefix_option("2001:db8::/64", 7200, 3600);
  told.autonomous = 0;
  h.hear(bytes_of(told));
  EXPECT_TRUE(h.tried.empty());
  EXPECT_EQ(h.on_link.size(), 1u);
}

TEST(router_discovery, rfc4862_5_5_3_c_no_longer_preferred_than_valid) {
  host h;
  h.hear(prefix_of("2001:db8::/64", 100, 101));
  EXPECT_TRUE(h.tried.empty());
}

TEST(router_discovery, rfc4862_5_5_3_d_no_other_length_and_no_lifetime_of_0) {
  host h;
  h.hear(prefix_of("2001:db8::/63") + prefix_of("2001:db8::/65") + prefix_of("2001:db8:1::/64", 0, 0));
  EXPECT_TRUE(h.tried.empty());
}

TEST(router_discovery, rfc4862_5_5_4_first_preferred_then_deprecated_then_gone) {
  host h;
  h.hear(prefix_of("2001:db8::/64", 200, 100));
  h.wait(99 * second);
  EXPECT_TRUE(h.deprecated.empty());
  h.wait(second);
  EXPECT_EQ(h.deprecated, std::set<std::uint64_t>{h.only_address().low()});
  h.wait(99 * second);
  EXPECT_EQ(h.ours.size(), 1u);
  h.wait(second);
  EXPECT_TRUE(h.ours.empty());
  h.hear(prefix_of("2001:db8::/64"));
  EXPECT_EQ(h.ours.size(), 1u) << "and may come again";
}

TEST(router_discovery, rfc4862_5_5_3_e_the_preferred_lifetime_is_always_believed) {
  host h;
  h.hear(prefix_of("2001:db8::/64", 200, 100));
  h.hear(prefix_of("2001:db8::/64", 200, 0));
  EXPECT_EQ(h.deprecated.size(), 1u);
  h.hear(prefix_of("2001:db8::/64", 200, 50));
  EXPECT_TRUE(h.deprecated.empty());
}

TEST(router_discovery, an_address_that_comes_again_is_deprecated_again) {
  host h;
  for (int i = 0; i < 2; ++i) {
    h.hear(prefix_of("2001:db8::/64", 100, 0));
    EXPECT_EQ(h.deprecated.size(), 1u);
    h.wait(100 * second);
    EXPECT_TRUE(h.ours.empty());
  }
}

// (received, remaining) -> how long it is valid from now.
TEST(router_discovery, rfc4862_5_5_3_e_the_rule_of_two_hours) {
  struct {
    std::uint32_t remaining, received;
    duration valid;
  } const rows[] = {
      {6 * 3600, 3 * 3600, 3 * hour},      // 1: more than two hours
      {3600, 3 * 3600, 3 * hour},          // 1: and more than remains
      {1000, 2000, 2000 * second},         // 1: less than two hours, but more than remains
      {3600, 60, hour},                    // 2: no more than two hours remain: not believed
      {7200, 0, 2 * hour},                 // 2
      {6 * 3600, 60, 2 * hour},            // 3: what is left is two hours
      {6 * 3600, 0, 2 * hour},             // 3
      {for_ever, 0, 2 * hour},             // 3
      {3600, for_ever, 1'000'000 * hour},  // 1
  };
  for (const auto& row : rows) {
    host h;
    h.hear(prefix_of("2001:db8::/64", row.remaining, 0));
    h.hear(prefix_of("2001:db8::/64", row.received, 0));
    h.wait(row.valid - second);
    EXPECT_EQ(h.ours.size(), 1u) << row.remaining << ' ' << row.received;
    h.wait(second);
    EXPECT_EQ(h.ours.size(), row.received == for_ever ? 1u : 0u) << row.remaining << ' ' << row.received;
  }
}

// ---- RFC 4862 5.4, RFC 7217 6: duplicates

TEST(router_discovery, rfc4862_5_4_an_address_is_ours_when_nobody_else_has_it) {
  host h(true);
  h.hear(prefix_of("2001:db8::/64"));
  ASSERT_EQ(h.tried.size(), 1u);
  EXPECT_TRUE(h.ours.empty());
  h.discovery.is_unique(h.tried[0], h.now);
  EXPECT_EQ(h.only_address(), h.tried[0]);
}

TEST(router_discovery, an_address_that_is_deprecated_from_the_start) {
  host h(true);
  h.hear(prefix_of("2001:db8::/64", 100, 0));
  h.discovery.is_unique(h.tried[0], h.now);
  EXPECT_EQ(h.deprecated.size(), 1u);
}

TEST(router_discovery, rfc7217_6_a_duplicate_gives_another_identifier_three_times_at_most) {
  host h(true);
  h.hear(prefix_of("2001:db8::/64"));
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(h.tried.size(), i + 1);
    EXPECT_EQ(h.tried[i], stable_address(ip("2001:db8::"), {mac_of(1), {7, 8}}, static_cast<std::uint8_t>(i)));
    h.discovery.is_taken(h.tried[i], h.now);
    EXPECT_EQ(h.dropped_addresses.back(), h.tried[i]);
  }
  h.hear(prefix_of("2001:db8::/64"));
  EXPECT_EQ(h.tried.size(), 3u) << "then no more, whatever the routers say";
  EXPECT_TRUE(h.ours.empty());
}

TEST(router_discovery, when_the_prefix_is_over_it_may_be_tried_again) {
  host h(true);
  h.hear(prefix_of("2001:db8::/64", 100, 100));
  for (std::size_t i = 0; i < 3; ++i) h.discovery.is_taken(h.tried[i], h.now);
  h.wait(100 * second);
  EXPECT_EQ(h.dropped_addresses.size(), 3u) << "what was given up isn't ours to drop";
  h.hear(prefix_of("2001:db8::/64", 100, 100));
  ASSERT_EQ(h.tried.size(), 4u);
  EXPECT_EQ(h.tried[3], h.tried[0]);
}

TEST(router_discovery, the_second_try_may_succeed) {
  host h(true);
  h.hear(prefix_of("2001:db8::/64"));
  h.discovery.is_taken(h.tried[0], h.now);
  h.discovery.is_unique(h.tried[1], h.now);
  EXPECT_EQ(h.only_address(), h.tried[1]);
}

TEST(router_discovery, what_is_ours_for_good_is_not_given_up_for_a_claim) {
  host h;
  h.hear(prefix_of("2001:db8::/64"));
  const ip_address ours = h.only_address();
  h.discovery.is_taken(ours, h.now);
  EXPECT_EQ(h.only_address(), ours);
  EXPECT_EQ(h.tried.size(), 1u);
}

TEST(router_discovery, without_room_for_an_address_it_is_given_up) {
  host h;
  h.has_room = false;
  h.hear(prefix_of("2001:db8::/64"));
  EXPECT_FALSE(h.discovery.has_formed(h.tried.front()));
  h.may_try = false;
  h.hear(prefix_of("2001:db8:1::/64"));
  EXPECT_EQ(h.on_link.size(), 2u);
  EXPECT_TRUE(h.ours.empty());
}

}  // namespace
}  // namespace fastudp
