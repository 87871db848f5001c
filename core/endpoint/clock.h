#pragma once
// The time that a stack is told: the kernel's monotonic clock, or one that the program holds in its hand.

#include <algorithm>
#include <cstdint>
#include <ctime>

#include "base/time.h"

namespace fastudp {

class clock {
 public:
  explicit clock(bool hand_held) : hand_held_(hand_held) {}

  bool is_hand_held() const { return hand_held_; }
  // False when that would turn time back.
  bool set(time_point now) {
    if (now < last_) return false;
    last_ = now;
    return true;
  }

  // For work: a few milliseconds late at most, and without reading the hardware.
  time_point coarse() { return read(CLOCK_MONOTONIC_COARSE); }
  // For deadlines.
  time_point precise() { return read(CLOCK_MONOTONIC); }
  // What the rest of the world calls it, for time stamps.
  std::int64_t wall() const {
    if (hand_held_) return std::max<std::int64_t>(last_, 1);  // 0 would be no time at all
    timespec now;
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * second + now.tv_nsec;
  }

 private:
  time_point read(clockid_t which) {
    if (hand_held_) return last_;
    timespec now;
    ::clock_gettime(which, &now);
    const time_point at = now.tv_sec * second + now.tv_nsec;
    if (at > last_) last_ = at;  // the two clocks differ, time goes forward all the same
    return last_;
  }

  bool hand_held_;
  time_point last_ = 0;
};

}  // namespace fastudp
