// poll. Without anything of ours among the descriptors it is libc's own.

#include <sys/resource.h>

#include "call.h"
#include "clock.h"
#include "real.h"
#include "waiting.h"

using namespace preload;

namespace {

bool any_is_ours(const pollfd* fds, nfds_t count) {
  for (nfds_t i = 0; i < count; ++i) {
    if (is_ours(fds[i].fd)) return true;
  }
  return false;
}

int tell(watch& list, pollfd* fds, nfds_t count) {
  for (nfds_t i = 0; i < count; ++i) fds[i].revents = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list.from(i).set != nullptr) continue;
    pollfd& owner = fds[list.from(i).owner];
    owner.revents = static_cast<short>(owner.revents | told_by(list, i, static_cast<unsigned short>(owner.events)));
  }
  int ready = 0;
  for (nfds_t i = 0; i < count; ++i) ready += fds[i].revents != 0;
  return ready;
}

// -ENOMEM as Linux would. An epoll set that was changed meanwhile makes it look again.
int poll_all(watch* room, pollfd* fds, nfds_t count, std::int64_t timeout, const sigset_t* mask) {
  if (room == nullptr) return -ENOMEM;
  watch& list = *room;
  const time_limit limit(timeout);
  for (;;) {
    list.clear();
    for (nfds_t i = 0; i < count; ++i) {
      if (!add_any(list, fds[i].fd, fds[i].events, i)) return -ENOMEM;
    }
    const int found = list.wait_as_poll(limit.left(), mask);
    if (found < 0) return found;
    const int ready = tell(list, fds, count);
    if (ready != 0 || limit.left() == 0) return ready;
  }
}

// Linux refuses more than the limit on descriptors.
[[gnu::noinline]] bool is_within_limit(nfds_t count) {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 && count <= limit.rlim_cur;
}

inline bool are_foreign(const pollfd* fds, nfds_t count) {
  for (nfds_t i = 0; i < count; ++i) {
    if (!is_surely_not_ours(fds[i].fd)) return false;
  }
  return true;
}

bool needs_us(const pollfd* fds, nfds_t count) {
  return fds != nullptr && (count <= 256 || is_within_limit(count)) && any_is_ours(fds, count);
}

template <typename Otherwise>
[[gnu::noinline]] int poll_ours(pollfd* fds, nfds_t count, std::int64_t timeout, const sigset_t* mask,
                                const Otherwise& otherwise) {
  const waiting outermost;
  return outermost ? give_int(poll_all(outermost.list(), fds, count, timeout, mask)) : otherwise();
}

[[gnu::noinline]] int poll_any(pollfd* fds, nfds_t count, int timeout) {
  if (!needs_us(fds, count)) return real.poll(fds, count, timeout);
  const std::int64_t ns = timeout < 0 ? -1 : std::int64_t{timeout} * 1'000'000;
  return poll_ours(fds, count, ns, nullptr, [&] { return real.poll(fds, count, timeout); });
}

}  // namespace

int hook::poll(pollfd* fds, nfds_t count, int timeout) {
  const bool is_short = fds != nullptr && count <= 256;
  return is_short && are_foreign(fds, count) ? real.poll(fds, count, timeout) : poll_any(fds, count, timeout);
}

int hook::ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  const auto otherwise = [&] { return real.ppoll(fds, count, timeout, mask); };
  if (timeout != nullptr && !is_sane(*timeout)) return otherwise();
  if (!needs_us(fds, count)) return otherwise();
  return poll_ours(fds, count, timeout == nullptr ? -1 : to_ns(*timeout), mask, otherwise);
}

int hook::__poll_chk(pollfd* fds, nfds_t count, int timeout, size_t room) {
  return room / sizeof *fds < count ? real.__poll_chk(fds, count, timeout, room) : hook::poll(fds, count, timeout);
}

int hook::__ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask, size_t room) {
  if (room / sizeof *fds < count) return real.__ppoll_chk(fds, count, timeout, mask, room);
  return hook::ppoll(fds, count, timeout, mask);
}
