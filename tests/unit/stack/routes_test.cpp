// The route table: the longest prefix, its errors, and a large table against a linear search.

#include "stack/routes.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <vector>

#include "base/random.h"
#include "unit/stack/stack_support.h"

namespace fastudp {
namespace {

using test::ip;
using test::prefix;

route_table open_table(std::uint32_t capacity) {
  route_table table;
  EXPECT_TRUE(table.open(capacity, 7));
  return table;
}

route by(std::string_view gateway) { return {ip(gateway)}; }
const route on_link{};

TEST(routes, the_longest_prefix_wins) {
  auto table = open_table(8);
  const ip_address router = ip("10.0.0.254"), other = ip("10.0.0.253");
  ASSERT_TRUE(table.add(prefix("0.0.0.0/0"), &router));
  ASSERT_TRUE(table.add(prefix("10.0.0.0/24"), nullptr));
  ASSERT_TRUE(table.add(prefix("172.16.0.0/12"), &other));
  ASSERT_TRUE(table.add(prefix("172.16.1.0/24"), &router));
  ASSERT_TRUE(table.add(prefix("172.16.1.7/32"), &other));
  EXPECT_EQ(table.lookup(ip("8.8.8.8")), by("10.0.0.254"));
  EXPECT_EQ(table.lookup(ip("10.0.0.7")), on_link);
  EXPECT_EQ(table.lookup(ip("172.31.255.255")), by("10.0.0.253"));
  EXPECT_EQ(table.lookup(ip("172.16.1.8")), by("10.0.0.254"));
  EXPECT_EQ(table.lookup(ip("172.16.1.7")), by("10.0.0.253"));
  EXPECT_EQ(table.lookup(ip("172.32.0.0")), by("10.0.0.254"));
}

TEST(routes, nothing_matches_in_an_empty_table) {
  auto table = open_table(1);
  EXPECT_EQ(table.lookup(ip("10.0.0.1")), std::nullopt);
  ASSERT_TRUE(table.add(prefix("10.0.0.0/24"), nullptr));
  EXPECT_EQ(table.lookup(ip("10.0.1.1")), std::nullopt);
}

TEST(routes, errors) {
  auto table = open_table(2);
  const ip_address router = ip("10.0.0.254");
  EXPECT_TRUE(table.add(prefix("10.0.0.0/24"), nullptr));
  EXPECT_EQ(table.add(prefix("10.0.0.0/24"), &router).code(), EEXIST);
  EXPECT_EQ(table.add(prefix("10.0.0.1/24"), nullptr).code(), EINVAL);
  EXPECT_EQ(table.add({ip("10.0.0.0"), 33}, nullptr).code(), EINVAL);
  EXPECT_EQ(table.add({ip("0.0.0.0"), 255}, nullptr).code(), EINVAL);
  for (const char* gateway : {"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"}) {
    const ip_address no_host = ip(gateway);
    EXPECT_EQ(table.add(prefix("10.1.0.0/24"), &no_host).code(), EINVAL) << gateway;
  }
  EXPECT_TRUE(table.add(prefix("10.0.0.0/25"), nullptr));
  EXPECT_EQ(table.add(prefix("10.0.0.0/26"), nullptr).code(), ENOSPC);
  EXPECT_EQ(table.add(prefix("10.0.0.0/25"), nullptr).code(), EEXIST);
  EXPECT_EQ(table.remove(prefix("10.0.0.0/26")).code(), ESRCH);
  EXPECT_EQ(table.remove({ip("10.0.0.0"), 200}).code(), ESRCH);
  EXPECT_TRUE(table.remove(prefix("10.0.0.0/25")));
  EXPECT_EQ(table.remove(prefix("10.0.0.0/25")).code(), ESRCH);
  EXPECT_TRUE(table.add(prefix("10.0.0.0/26"), nullptr));
}

TEST(routes, a_table_of_no_routes_opens) {
  auto table = open_table(0);
  EXPECT_EQ(table.add(prefix("0.0.0.0/0"), nullptr).code(), ENOSPC);
  EXPECT_EQ(table.lookup(ip("10.0.0.1")), std::nullopt);
}

// Few distinct prefixes in a table that is often full: searches run into each other.
TEST(routes, agree_with_a_linear_search_while_they_come_and_go) {
  auto table = open_table(60);
  random_source random(3);
  std::map<std::pair<std::uint8_t, std::uint32_t>, ip_address> oracle;  // by length and network
  for (int step = 0; step < 200'000; ++step) {
    ip_prefix p{ipv4_address::from_number(0x0a000000 | random.below(64) << 2),
                static_cast<std::uint8_t>(24 + random.below(9))};
    p.address = p.network();
    const std::pair key{p.length, p.address.ipv4().number()};
    const ip_address gateway = ipv4_address::from_number(0x0a010000 | random.below(0xffff));
    if (random.below(2) == 0) {
      const int expected = oracle.contains(key) ? EEXIST : oracle.size() == 60 ? ENOSPC : 0;
      ASSERT_EQ(table.add(p, &gateway).code(), expected) << step;
      if (expected == 0) oracle[key] = gateway;
    } else {
      ASSERT_EQ(table.remove(p).code(), oracle.erase(key) != 0 ? 0 : ESRCH) << step;
    }
    const ip_address wanted = ipv4_address::from_number(0x0a000000 | random.below(256));
    std::optional<route> expected;
    for (const auto& [at, by] : oracle) {
      if (ip_prefix{ipv4_address::from_number(at.second), at.first}.contains(wanted)) expected = route{by};
    }
    ASSERT_EQ(table.lookup(wanted), expected) << step;
  }
}

TEST(routes, what_is_learnt_gives_way_to_what_is_added) {
  auto table = open_table(4);
  const ip_address router = ip("fe80::1"), other = ip("fe80::2");
  EXPECT_FALSE(table.unlearn({})) << "nothing is there";
  EXPECT_TRUE(table.learn({}, &router));
  EXPECT_FALSE(table.learn({}, &router)) << "nothing new";
  EXPECT_TRUE(table.learn({}, &other));
  EXPECT_EQ(table.lookup(ip("2001:db8::1"))->gateway, other);
  EXPECT_TRUE(table.add({}, &router));
  EXPECT_EQ(table.lookup(ip("2001:db8::1")), route{router});
  EXPECT_EQ(table.add({}, &other).code(), EEXIST);
  EXPECT_FALSE(table.learn({}, &other));
  EXPECT_FALSE(table.unlearn({}));
  EXPECT_EQ(table.lookup(ip("2001:db8::1")), route{router});
}

TEST(routes, what_is_learnt_is_forgotten) {
  auto table = open_table(1);
  EXPECT_TRUE(table.learn(prefix("2001:db8::/64"), nullptr));
  EXPECT_FALSE(table.learn(prefix("2001:db8:1::/64"), nullptr)) << "no room";
  EXPECT_TRUE(table.unlearn(prefix("2001:db8::/64")));
  EXPECT_FALSE(table.unlearn(prefix("2001:db8::/64")));
  EXPECT_EQ(table.lookup(ip("2001:db8::1")), std::nullopt);
}

TEST(routes, a_hundred_thousand) {
  constexpr std::uint32_t count = 100'000;
  auto table = open_table(count);
  const auto gateway_of = [](std::uint32_t i) { return ipv4_address::from_number(0x0a000001 + i); };
  const auto network_of = [](std::uint32_t i) { return ipv4_address::from_number(0x14000000 + (i << 8)); };
  for (std::uint32_t i = 0; i < count; ++i) {
    const ip_address gateway = gateway_of(i);
    ASSERT_TRUE(table.add({network_of(i), 24}, &gateway));
  }
  EXPECT_EQ(table.add(prefix("0.0.0.0/0"), nullptr).code(), ENOSPC);
  for (std::uint32_t i = 0; i < count; ++i) {
    ASSERT_EQ(table.lookup(ipv4_address::from_number(network_of(i).number() + 77)), route{gateway_of(i)});
  }
  EXPECT_EQ(table.lookup(ipv4_address::from_number(0x14000000 + (count << 8))), std::nullopt);
}

}  // namespace
}  // namespace fastudp
