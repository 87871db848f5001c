#pragma once
// One descriptor that is readable while any of several is, for links of several queues.

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "base/descriptor.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp {

class wait_set {
 public:
  static result<wait_set> open(reason& why) {
    wait_set out;
    out.set_ = descriptor(::epoll_create1(EPOLL_CLOEXEC));
    if (!out.set_) return why.fail(errno, "no descriptor to wait for several by: %m");
    return out;
  }
  status add(int descriptor, reason& why) { return add(descriptor, EPOLLIN, why); }
  // For one that nobody reads, and that stays readable: it counts from hush() on.
  status add_edge(int descriptor, reason& why) { return add(descriptor, EPOLLIN | EPOLLET, why); }
  void hush() {
    std::array<epoll_event, 64> told;  // as many as there are queues
    (void)::epoll_wait(set_.number(), told.data(), told.size(), 0);
  }
  void remove(int descriptor) { (void)::epoll_ctl(set_.number(), EPOLL_CTL_DEL, descriptor, nullptr); }
  int number() const { return set_.number(); }

 private:
  status add(int descriptor, std::uint32_t events, reason& why) {
    epoll_event wanted{.events = events, .data = {}};
    if (::epoll_ctl(set_.number(), EPOLL_CTL_ADD, descriptor, &wanted) == 0) return {};
    return why.fail(errno, "a queue can't be waited for: %m");
  }

  descriptor set_;
};

}  // namespace fastudp
