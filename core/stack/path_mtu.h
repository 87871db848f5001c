#pragma once
// The path MTUs that routers have told us of (RFC 1191), bounded and forgetful.

#include <array>
#include <cstdint>

#include "base/address.h"
#include "base/time.h"

namespace fastudp {

class path_mtu_cache {
 public:
  // As Linux's min_pmtu and mtu_expires.
  static constexpr std::uint32_t smallest = 552;
  static constexpr duration lifetime = 600 * second;

  struct learnt {
    std::uint32_t mtu = 0;  // 0: nothing is known
    bool floor = false;     // a report claimed less than the smallest: DF would
                            // never get through, so it isn't set

    friend bool operator==(const learnt&, const learnt&) = default;
  };

  explicit path_mtu_cache(std::uint64_t secret) : secret_(secret) {}

  learnt lookup(ip_address destination, time_point now) const;
  // Of how many destinations something is known.
  std::size_t size(time_point now) const;
  // What a report says. Never raises; true when something changed. Like Linux, takes the 0 of routers older than RFC
  // 1191 for less than the smallest.
  bool lower(ip_address destination, std::uint32_t mtu, std::uint32_t link_mtu, time_point now);

  // When something will be forgotten that senders may remember.
  time_point deadline() const { return deadline_; }
  void advance(time_point now);

 private:
  struct entry {
    ip_address destination;
    learnt what;
    time_point expires = 0;
  };
  // Sets of a few, of which the one that expires first makes room.
  static constexpr std::size_t sets = 256, ways = 4;
  using entry_set = std::array<entry, ways>;

  std::size_t set_of(ip_address destination) const;

  std::array<entry_set, sets> entries_;
  std::uint64_t secret_;
  time_point deadline_ = never;
};

}  // namespace fastudp
