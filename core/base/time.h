#pragma once
// Points in time and durations. Core code never reads a clock: the time of a call is an argument.

#include <cstdint>
#include <limits>

namespace fastudp {

// Nanoseconds on a monotonic clock of the caller's choice.
using time_point = std::int64_t;
using duration = std::int64_t;

inline constexpr duration nanosecond = 1;
inline constexpr duration microsecond = 1000 * nanosecond;
inline constexpr duration millisecond = 1000 * microsecond;
inline constexpr duration second = 1000 * millisecond;
inline constexpr time_point never = std::numeric_limits<time_point>::max();

}  // namespace fastudp
