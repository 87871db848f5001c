#pragma once
// One descriptor that is readable while any of several is, for links of several queues.

#include <sys/epoll.h>

#include <cerrno>

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
  status add(int descriptor, reason& why) {
    epoll_event wanted{.events = EPOLLIN, .data = {}};
    if (::epoll_ctl(set_.number(), EPOLL_CTL_ADD, descriptor, &wanted) == 0) return {};
    return why.fail(errno, "a queue can't be waited for: %m");
  }
  void remove(int descriptor) { (void)::epoll_ctl(set_.number(), EPOLL_CTL_DEL, descriptor, nullptr); }
  int number() const { return set_.number(); }

 private:
  descriptor set_;
};

}  // namespace fastudp
