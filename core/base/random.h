#pragma once
// Seeded randomness: the same seed gives the same run, so that a failing test is a number.

#include <cstdint>

#include "base/address.h"

namespace fastudp {

// xoshiro256** seeded through splitmix64. Not for secrets that an attacker may observe many outputs of.
class random_source {
 public:
  explicit random_source(std::uint64_t seed) {
    for (auto& word : state_) word = split_mix(seed);
  }

  std::uint64_t next() {
    const std::uint64_t out = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t carry = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= carry;
    state_[3] = rotate(state_[3], 45);
    return out;
  }

  // Uniform in [0, bound); bound > 0.
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(((next() >> 32) * bound) >> 32); }

  // True once in so many parts per million.
  bool chance(std::uint32_t parts_per_million) { return below(1'000'000) < parts_per_million; }

 private:
  static constexpr std::uint64_t rotate(std::uint64_t value, int by) { return (value << by) | (value >> (64 - by)); }
  static constexpr std::uint64_t split_mix(std::uint64_t& seed) {
    std::uint64_t z = (seed += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  std::uint64_t state_[4];
};

// Mixes a table key with a secret, so that a peer can't choose keys that land in one bucket.
constexpr std::uint64_t mix(std::uint64_t key, std::uint64_t secret) {
  key ^= secret;
  key = (key ^ (key >> 32)) * 0xd6e8feb86659fd93;
  key = (key ^ (key >> 32)) * 0xd6e8feb86659fd93;
  return key ^ (key >> 32);
}

constexpr std::uint64_t mix(const ip_address& key, std::uint64_t secret) {
  return mix(key.low(), mix(key.high(), secret));
}

}  // namespace fastudp
