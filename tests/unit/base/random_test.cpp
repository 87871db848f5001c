// Randomness: the same for the same seed, within its bounds, evenly spread; and the mixing of table keys.

#include "base/random.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <set>

namespace fastudp {
namespace {

// The published test vector: xoshiro256** whose state was filled by splitmix64 from seed 0.
TEST(random, is_the_generator_that_it_says) {
  random_source random(0);
  EXPECT_EQ(random.next(), 0x99ec5f36cb75f2b4u);
  EXPECT_EQ(random.next(), 0xbf6e1f784956452au);
  EXPECT_EQ(random.next(), 0x1a5f849d4933e6e0u);
}

TEST(random, the_same_seed_gives_the_same_numbers) {
  random_source a(42), b(42), c(43);
  int different = 0;
  for (int i = 0; i < 100; ++i) {
    const auto n = a.next();
    EXPECT_EQ(n, b.next());
    different += n != c.next();
  }
  EXPECT_EQ(different, 100);
}

TEST(random, below_stays_below_and_reaches_everything) {
  random_source random(1);
  for (const std::uint32_t bound : {1u, 2u, 7u, 100u}) {
    std::set<std::uint32_t> seen;
    for (std::uint32_t i = 0; i < 20 * bound; ++i) seen.insert(random.below(bound));
    EXPECT_EQ(seen.size(), bound);
    EXPECT_LT(*seen.rbegin(), bound);
  }
  for (int i = 0; i < 1000; ++i) ASSERT_LT(random.below(0xffffffff), 0xffffffff);
}

// Five standard deviations of a binomial distribution with n = 1,000,000 and p = 1/10.
TEST(random, below_is_even) {
  random_source random(2);
  std::array<int, 10> times{};
  for (int i = 0; i < 1'000'000; ++i) ++times[random.below(10)];
  for (const int n : times) EXPECT_NEAR(n, 100'000, 5 * 300);
}

TEST(random, chance_is_in_parts_per_million) {
  random_source random(3);
  int half = 0;
  for (int i = 0; i < 100'000; ++i) {
    EXPECT_FALSE(random.chance(0));
    EXPECT_TRUE(random.chance(1'000'000));
    half += random.chance(500'000);
  }
  EXPECT_NEAR(half, 50'000, 5 * 158);
}

TEST(mix, every_bit_of_the_key_matters_to_the_low_bits) {
  for (int bit = 0; bit < 64; ++bit) {
    int changed = 0;
    for (std::uint64_t key = 0; key < 1000; ++key) {
      changed += std::popcount((mix(key, 99) ^ mix(key ^ (std::uint64_t{1} << bit), 99)) & 0xffff);
    }
    EXPECT_NEAR(changed / 1000.0, 8.0, 1.0) << "bit " << bit;
  }
}

TEST(mix, another_secret_is_another_order) {
  std::set<std::uint64_t> buckets;
  for (std::uint64_t secret = 0; secret < 64; ++secret) buckets.insert(mix(7, secret) % 1024);
  EXPECT_GT(buckets.size(), 50u);
}

}  // namespace
}  // namespace fastudp
