// SipHash against its authors' results.

#include "base/sip_hash.h"

#include <gtest/gtest.h>

#include <array>

namespace fastudp {
namespace {

constexpr sip_key published_key{0x0706050403020100, 0x0f0e0d0c0b0a0908};

// The published key and messages: bytes that count up from 0.
std::uint64_t of_first(std::size_t length) {
  std::array<std::byte, 64> message;
  for (std::size_t i = 0; i < message.size(); ++i) message[i] = static_cast<std::byte>(i);
  return sip_hash(std::span(message).first(length), published_key);
}

TEST(sip_hash, is_the_function_that_it_says) {
  EXPECT_EQ(of_first(0), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(of_first(1), 0x74f839c593dc67fdu);
  EXPECT_EQ(of_first(8), 0x93f5f5799a932462u);
  EXPECT_EQ(of_first(15), 0xa129ca6149be45e5u);
}

TEST(sip_hash, each_half_of_the_key_matters) {
  EXPECT_NE(sip_hash({}, {1, 0}), sip_hash({}, {0, 0}));
  EXPECT_NE(sip_hash({}, {0, 1}), sip_hash({}, {0, 0}));
}

}  // namespace
}  // namespace fastudp
