// Linux's two limits on ICMP errors.

#include "stack/rate_limit.h"

#include <gtest/gtest.h>

#include <memory>

#include "unit/stack/stack_support.h"

namespace fastudp {
namespace {

using test::ip;

unsigned allowed(rate_limiter& limit, ip_address to, unsigned tries, time_point now) {
  unsigned count = 0;
  for (unsigned i = 0; i < tries; ++i) count += limit.allow(to, now);
  return count;
}

TEST(rate_limit, six_at_once_and_then_one_a_second) {
  rate_limiter limit(1);
  const ip_address to = ip("10.0.0.2");
  EXPECT_EQ(allowed(limit, to, 20, 0), 6u);
  EXPECT_EQ(allowed(limit, to, 20, second - 1), 0u);
  EXPECT_EQ(allowed(limit, to, 20, second), 1u);
  EXPECT_EQ(allowed(limit, to, 20, 4 * second), 3u);
  EXPECT_EQ(allowed(limit, to, 20, 9 * second), 5u);
  EXPECT_EQ(allowed(limit, to, 20, 1000 * second), 6u);  // no more is saved up
}

TEST(rate_limit, one_destination_does_not_use_up_the_budget_of_another) {
  rate_limiter limit(2);
  EXPECT_EQ(allowed(limit, ip("10.0.0.2"), 20, 0), 6u);
  EXPECT_EQ(allowed(limit, ip("10.0.0.3"), 20, 0), 6u);
}

TEST(rate_limit, about_fifty_at_once_to_all) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    rate_limiter limit(seed);
    for (const time_point now : {time_point{0}, 1000 * second}) {  // no more is saved up
      unsigned count = 0;
      for (std::uint32_t i = 0; i < 10'000; ++i) count += limit.allow(ipv4_address::from_number(0x0a000000 + i), now);
      EXPECT_GE(count, 25u);  // each costs nothing, one or two
      EXPECT_LE(count, 100u);
    }
  }
}

TEST(rate_limit, about_a_thousand_a_second_to_all) {
  rate_limiter limit(3);
  unsigned count = 0;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    count += limit.allow(ipv4_address::from_number(0x0a000000 + i), i * 100 * microsecond);  // for ten seconds
  }
  EXPECT_GE(count, 9'000u);
  EXPECT_LE(count, 11'000u);
}

// Otherwise an attacker could count our errors to find out whether a probe from a forged address was answered.
TEST(rate_limit, what_one_message_costs_of_the_common_budget_is_not_known) {
  std::uint64_t least = ~0u, most = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    rate_limiter limit(seed);
    std::uint64_t count = 0;
    for (std::uint32_t i = 0; i < 1'000; ++i) count += limit.allow(ipv4_address::from_number(0x0a000000 + i), 0);
    least = std::min(least, count), most = std::max(most, count);
  }
  EXPECT_LT(least, most);
}

TEST(rate_limit, is_off_where_the_host_limits_nothing) {
  rate_limiter limit(5, false, true);
  EXPECT_EQ(allowed(limit, ip("10.0.0.2"), 1000, 0), 1000u);
  EXPECT_EQ(allowed(limit, ip("fd00::2"), 1000, 0), 6u);
}

TEST(rate_limit, a_flood_that_is_refused_costs_the_others_nothing) {
  rate_limiter limit(4);
  EXPECT_EQ(allowed(limit, ip("10.0.0.2"), 100'000, 0), 6u);
  EXPECT_EQ(allowed(limit, ip("10.0.0.3"), 6, 0), 6u);
}

}  // namespace
}  // namespace fastudp
