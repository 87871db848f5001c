// epoll: one call returns what the kernel's set has and what is ready in our sockets.

#include <limits.h>
#include <sys/epoll.h>

#include "call.h"
#include "clock.h"
#include "descriptors.h"
#include "epoll_set.h"
#include "real.h"
#include "waiting.h"
#include "watch.h"

using namespace preload;

namespace {

class pinned_set {
 public:
  explicit pinned_set(int fd) {
    if (table.load(fd).set() != nullptr) set_ = epoll_set::pin(fd);
  }
  ~pinned_set() {
    if (set_ != nullptr) set_->unpin();
  }
  pinned_set(const pinned_set&) = delete;
  pinned_set& operator=(const pinned_set&) = delete;
  epoll_set* get() const { return set_; }
  epoll_set* operator->() const { return set_; }
  explicit operator bool() const { return set_ != nullptr; }

 private:
  epoll_set* set_ = nullptr;
};

// Adds the kernel's events to the `n` that are there, of which some may be about the same sockets. It gives others when
// it is asked again.
int harvest(epoll_set& set, int fd, epoll_event* events, int n, int most) {
  constexpr int rounds = 8;
  for (int round = 0; round < rounds && n < most; ++round) {
    const int room = most - n, got = raw<int>(SYS_epoll_pwait, fd, events + n, room, 0, nullptr, 0);
    const int before = n;
    for (int i = 0; i < got; ++i) {
      set.kernel_told(events[before + i]);
      n = set.join(events, n, events[before + i]);
    }
    if (got < room || n - before == got) break;
  }
  return n;
}

class epoll_call {
 public:
  epoll_call(watch& list, epoll_set& set, int fd, epoll_event* events, int most)
      : list_(list), set_(set), fd_(fd), events_(events), most_(most) {}

  int wait(std::int64_t timeout, const sigset_t* mask) {
    const time_limit limit(timeout);
    for (;;) {
      const int found = look(limit.left(), mask);
      if (found != 0 || limit.left() == 0) return found;
    }
  }

 private:
  // One round; returns how many events, or -errno. The kernel's and ours come first in turns.
  int look(std::int64_t timeout, const sigset_t* mask) {
    list_.clear();
    if (!set_.add_to(list_, 0) || !list_.add_descriptor(fd_, POLLIN, 1)) return -ENOMEM;
    const int ready = list_.wait(timeout, mask);
    if (ready < 0) return ready;
    const std::size_t turn = set_.next_turn();
    const bool kernel_is_first = turn % 2 == 0;
    int n = kernel_is_first ? harvest(set_, fd_, events_, 0, most_) : 0;
    n = set_.collect(list_, turn, fd_, events_, n, most_);
    return kernel_is_first ? n : harvest(set_, fd_, events_, n, most_);
  }

  watch& list_;
  epoll_set& set_;
  int fd_;
  epoll_event* events_;
  int most_;
};

template <typename Otherwise>
int wait_on(int fd, epoll_event* events, int most, std::int64_t timeout, const sigset_t* mask,
            const Otherwise& otherwise) {
  const pinned_set set(fd);
  constexpr int most_possible = INT_MAX / sizeof(epoll_event);
  if (!set || most <= 0 || most > most_possible || events == nullptr || !set->has_fast()) return otherwise();
  const waiting outermost(set.get());
  if (!outermost) return otherwise();
  if (outermost.list() == nullptr) return give_int(-ENOMEM);
  return give_int(epoll_call(*outermost.list(), *set.get(), fd, events, most).wait(timeout, mask));
}

bool has_members_of_ours(int set) {
  const epoll_set* known = table.load(set).set();
  return known != nullptr && !known->is_empty();
}

std::int64_t from_ms(int timeout) { return timeout < 0 ? -1 : std::int64_t{timeout} * 1'000'000; }

[[gnu::noinline]] int wait_on(int set, epoll_event* events, int most, int timeout) {
  return wait_on(set, events, most, from_ms(timeout), nullptr,
                 [&] { return real.epoll_wait(set, events, most, timeout); });
}

}  // namespace

int hook::epoll_ctl(int set, int operation, int fd, epoll_event* event) {
  const entry what = table.load(fd);
  if (!what.is_object() && !what.is_unknown()) return real.epoll_ctl(set, operation, fd, event);
  const pinned_set outer(set), inner(fd);
  const call c(fd);
  if (!outer || (!c && !inner)) return real.epoll_ctl(set, operation, fd, event);
  return outer->control(set, operation, fd, c ? c.operator->() : nullptr, inner.get(), event);
}

int hook::epoll_wait(int set, epoll_event* events, int most, int timeout) {
  if (!has_members_of_ours(set)) [[likely]]
    return real.epoll_wait(set, events, most, timeout);
  return wait_on(set, events, most, timeout);
}

int hook::epoll_pwait(int set, epoll_event* events, int most, int timeout, const sigset_t* mask) {
  if (!has_members_of_ours(set)) [[likely]]
    return real.epoll_pwait(set, events, most, timeout, mask);
  return wait_on(set, events, most, from_ms(timeout), mask,
                 [&] { return real.epoll_pwait(set, events, most, timeout, mask); });
}

int hook::epoll_pwait2(int set, epoll_event* events, int most, const timespec* timeout, const sigset_t* mask) {
  const auto otherwise = [&] { return real.epoll_pwait2(set, events, most, timeout, mask); };
  if (timeout != nullptr && !is_sane(*timeout)) return otherwise();
  return wait_on(set, events, most, timeout == nullptr ? -1 : to_ns(*timeout), mask, otherwise);
}

int hook::epoll_create(int size) {
  const int fd = created(real.epoll_create(size), __builtin_return_address(0));
  epoll_set::follow(fd);
  return fd;
}

int hook::epoll_create1(int flags) {
  const int fd = created(real.epoll_create1(flags), __builtin_return_address(0));
  epoll_set::follow(fd);
  return fd;
}
