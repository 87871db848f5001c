#pragma once
// Random numbers that depend on nothing but the seed.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>

namespace differential {

class dice {
 public:
  // Mixed, or the numbers of one seed would be those of the seed before, moved by one.
  explicit dice(std::uint64_t seed) : state_(mixed(seed + 0x6a09e667f3bcc909)) {}

  // SplitMix64.
  std::uint64_t next() { return mixed(state_ += 0x9e3779b97f4a7c15); }
  // From 0 up to and without `limit`.
  int below(int limit) { return static_cast<int>(next() % static_cast<std::uint64_t>(limit)); }
  bool percent(int chance) { return below(100) < chance; }
  template <typename T>
  T one_of(std::initializer_list<T> list) {
    return list.begin()[below(static_cast<int>(list.size()))];
  }
  template <typename Array>
  const auto& pick(const Array& list) {
    return list[static_cast<std::size_t>(below(static_cast<int>(std::size(list))))];
  }

 private:
  static std::uint64_t mixed(std::uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }

  std::uint64_t state_;
};

}  // namespace differential
