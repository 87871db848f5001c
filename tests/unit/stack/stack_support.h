#pragma once
// What the tests of the stack's parts share: frames written as text, addresses by number, counts of drops.

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/counters.h"
#include "packet/pool.h"

namespace fastudp::test {

inline ip_address ip(std::string_view text) { return parse_ip(text).value(); }
inline ip_prefix prefix(std::string_view text) { return parse_ip_prefix(text).value(); }
inline constexpr mac_address mac_of(unsigned host) {
  return {{2, 0, 0, 0, static_cast<std::uint8_t>(host >> 8), static_cast<std::uint8_t>(host)}};
}

inline std::uint64_t dropped(const counters& count, drop why) {
  return count.drops[static_cast<std::size_t>(why)].get();
}
inline std::uint64_t dropped(const counters& count) {
  std::uint64_t sum = 0;
  for (const counter& c : count.drops) sum += c.get();
  return sum;
}

inline std::string from_hex(std::string_view digits) {
  std::string out;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    out += static_cast<char>(std::stoul(std::string(digits.substr(i, 2)), nullptr, 16));
  }
  return out;
}
inline std::string to_hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(byte) >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}

inline std::string bytes_of(packet* p) { return {reinterpret_cast<const char*>(p->data()), p->length}; }

// Frames to take from; that none is lost is checked at the end.
class frames {
 public:
  explicit frames(std::uint32_t count = 64, std::uint32_t size = 2048) : pool_(std::move(*pool::create(count, size))) {}
  ~frames() { EXPECT_EQ(out(), 0u) << "frames were lost"; }

  packet* make(std::string_view bytes) {
    packet* p = pool_->take();
    if (p == nullptr) return nullptr;
    std::memcpy(p->data(), bytes.data(), bytes.size());
    p->length = static_cast<std::uint32_t>(bytes.size());
    return p;
  }
  // Fills all frames with a byte, so that one that nobody wrote is seen.
  void soil() { std::memset(pool_->memory(), 0xee, std::size_t{pool_->count()} * pool_->frame_size()); }
  std::uint32_t out() const { return pool_->count() - pool_->available(); }
  fastudp::pool& pool() { return *pool_; }

 private:
  std::unique_ptr<fastudp::pool> pool_;
};

}  // namespace fastudp::test
