// What is remembered of reports about path MTUs, and for how long.

#include "stack/path_mtu.h"

#include <gtest/gtest.h>

#include "unit/stack/stack_support.h"

namespace fastudp {
namespace {

using test::ip;
using learnt = path_mtu_cache::learnt;
constexpr std::uint32_t link_mtu = 1500;
const ip_address far = ip("192.0.2.1"), other = ip("192.0.2.2");

TEST(path_mtu, nothing_is_known_at_first) {
  path_mtu_cache cache(1);
  EXPECT_EQ(cache.lookup(far, 0), learnt{});
  EXPECT_EQ(cache.lookup({}, 0), learnt{});
  EXPECT_EQ(cache.deadline(), never);
}

TEST(path_mtu, only_falls) {
  path_mtu_cache cache(1);
  EXPECT_FALSE(cache.lower(far, 1500, link_mtu, 0));
  EXPECT_FALSE(cache.lower(far, 9000, link_mtu, 0));
  EXPECT_EQ(cache.lookup(far, 0), learnt{});
  EXPECT_TRUE(cache.lower(far, 1400, link_mtu, 0));
  EXPECT_FALSE(cache.lower(far, 1400, link_mtu, 0));
  EXPECT_FALSE(cache.lower(far, 1401, link_mtu, 0));
  EXPECT_TRUE(cache.lower(far, 1280, link_mtu, 0));
  EXPECT_EQ(cache.lookup(far, 0), (learnt{1280, false}));
  EXPECT_EQ(cache.lookup(other, 0), learnt{});
}

TEST(path_mtu, is_forgotten_after_ten_minutes) {
  path_mtu_cache cache(1);
  cache.lower(far, 1400, link_mtu, 0);
  cache.lower(other, 1300, link_mtu, 100 * second);
  EXPECT_EQ(cache.deadline(), 600 * second);
  EXPECT_EQ(cache.lookup(far, 600 * second - 1).mtu, 1400u);
  EXPECT_EQ(cache.lookup(far, 600 * second), learnt{});
  cache.advance(600 * second - 1);
  EXPECT_EQ(cache.deadline(), 600 * second);
  cache.advance(600 * second);
  EXPECT_EQ(cache.deadline(), 700 * second);
  cache.advance(700 * second);
  EXPECT_EQ(cache.deadline(), never);
  EXPECT_TRUE(cache.lower(far, 1450, link_mtu, 700 * second));
}

// As Linux's ip_rt_min_pmtu: 552 is assumed, and DF is not set, since it would never get through.
TEST(path_mtu, less_than_552_is_not_believed) {
  for (const std::uint32_t claimed : {0u, 1u, 68u, 551u}) {
    path_mtu_cache cache(1);
    EXPECT_TRUE(cache.lower(far, claimed, link_mtu, 0)) << claimed;
    EXPECT_EQ(cache.lookup(far, 0), (learnt{552, true})) << claimed;
    EXPECT_FALSE(cache.lower(far, 68, link_mtu, 0)) << claimed;
    EXPECT_EQ(cache.lookup(far, 600 * second), learnt{}) << claimed;
  }
  path_mtu_cache cache(1);
  EXPECT_TRUE(cache.lower(far, 552, link_mtu, 0));
  EXPECT_EQ(cache.lookup(far, 0), (learnt{552, false}));
  EXPECT_TRUE(cache.lower(far, 551, link_mtu, 0));
  EXPECT_EQ(cache.lookup(far, 0), (learnt{552, true}));
}

TEST(path_mtu, a_link_with_less_than_552_keeps_its_own) {
  path_mtu_cache cache(1);
  EXPECT_FALSE(cache.lower(far, 300, 300, 0));
  EXPECT_TRUE(cache.lower(far, 200, 300, 0));
  EXPECT_EQ(cache.lookup(far, 0), (learnt{300, true}));
}

TEST(path_mtu, is_bounded_and_the_newest_stay) {
  path_mtu_cache cache(1);
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(cache.lower(ipv4_address::from_number(0x14000000 + i), 1400, link_mtu, i * millisecond));
    ASSERT_EQ(cache.lookup(ipv4_address::from_number(0x14000000 + i), i * millisecond).mtu, 1400u);
  }
  unsigned kept = 0;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    kept += cache.lookup(ipv4_address::from_number(0x14000000 + i), 100 * second).mtu != 0;
  }
  EXPECT_GT(kept, 900u);
  EXPECT_LE(kept, 1024u);
}

}  // namespace
}  // namespace fastudp
