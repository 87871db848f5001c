#include "stack/rate_limit.h"

#include <algorithm>

namespace fastudp {
namespace {

constexpr duration cost_of_one = second, budget_of_one = 6 * second;
constexpr duration cost_of_all = millisecond, budget_of_all = 50 * millisecond;

bool affords(time_point whole_at, duration cost, duration budget, time_point now) {
  return whole_at - now <= budget - cost;
}

}  // namespace

bool rate_limiter::allow(ip_address destination, time_point now) {
  if (!(destination.is_v4() ? limits_v4_ : limits_v6_)) return true;
  time_point& own_whole_at = whole_at_[mix(destination, secret_) % slots];
  if (!affords(all_whole_at_, cost_of_all, budget_of_all, now)) return false;
  if (!affords(own_whole_at, cost_of_one, budget_of_one, now)) return false;
  own_whole_at = std::max(own_whole_at, now) + cost_of_one;
  // Nothing, once or twice the cost: by counting our errors nobody may learn which ports are open (CVE-2020-25705).
  all_whole_at_ = std::max(all_whole_at_, now) + random_.below(3) * cost_of_all;
  return true;
}

}  // namespace fastudp
