#include "link/dpdk/alarm.h"

#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>

namespace fastudp::dpdk {

status alarm::open() {
  timer_ = descriptor(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  return timer_ ? status{} : error{errno};
}

void alarm::set() {
  const itimerspec wanted{{0, 0}, {0, period_}};
  itimerspec before{};
  ::timerfd_settime(timer_.number(), 0, &wanted, &before);
  const bool has_gone_off = before.it_value.tv_sec == 0 && before.it_value.tv_nsec == 0;
  if (has_gone_off) period_ = std::min(2 * period_, longest);
}

}  // namespace fastudp::dpdk
