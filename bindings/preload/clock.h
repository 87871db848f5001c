#pragma once
// Time limits: nanoseconds of the monotonic clock; negative is none.

#include <sys/time.h>
#include <time.h>

#include <algorithm>
#include <cstdint>

namespace preload {

inline constexpr std::int64_t second = 1'000'000'000;

inline constexpr std::int64_t ages = INT64_MAX / 4;  // can be added to a time without overflow

inline std::int64_t to_ns(const timespec& t) {
  return t.tv_sec >= ages / second ? ages : t.tv_sec * second + t.tv_nsec;
}
inline bool is_sane(const timespec& t) { return t.tv_sec >= 0 && t.tv_nsec >= 0 && t.tv_nsec < second; }
inline timespec to_timespec(std::int64_t ns) { return {ns / second, ns % second}; }

inline std::int64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return to_ns(now);
}

// A point in time that may be never.
class time_limit {
 public:
  explicit time_limit(std::int64_t timeout) {
    if (timeout == 0) at_ = 0;
    if (timeout > 0) at_ = now_ns() + timeout;
  }
  // Negative: no limit.
  std::int64_t left() const {
    if (at_ <= 0) return at_;
    return std::max<std::int64_t>(at_ - now_ns(), 0);
  }

 private:
  std::int64_t at_ = -1;
};

}  // namespace preload
