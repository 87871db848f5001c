#pragma once
// How many ICMP errors we send, as Linux limits them (icmp_ratelimit, icmp_msgs_per_sec): to one destination six at
// once and then one a second, to all together about fifty at once and a thousand a second. Or not at all.

#include <array>
#include <cstdint>

#include "base/address.h"
#include "base/random.h"
#include "base/time.h"

namespace fastudp {

class rate_limiter {
 public:
  explicit rate_limiter(std::uint64_t secret, bool limits_v4 = true, bool limits_v6 = true)
      : secret_(secret), random_(~secret), limits_v4_(limits_v4), limits_v6_(limits_v6) {}
  bool allow(ip_address destination, time_point now);

 private:
  // Each budget is the time at which it will be whole again. Destinations that fall into one slot share it.
  static constexpr std::size_t slots = 1024;
  std::array<time_point, slots> whole_at_{};
  time_point all_whole_at_ = 0;
  std::uint64_t secret_;
  random_source random_;
  bool limits_v4_, limits_v6_;
};

}  // namespace fastudp
