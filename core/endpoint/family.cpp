#include "endpoint/family.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace fastudp {

status family::open() {
  auto made = shared_array<control>::map(1);
  if (!made) return made.failure();
  auto sockets = shared_array<shared_socket>::map(most_sockets);
  if (!sockets) return sockets.failure();
  auto cookies = shared_array<std::atomic<std::uint64_t>>::map(most_remembered);
  if (!cookies) return cookies.failure();
  shared_ = std::move(*made);
  cookies_ = std::move(*cookies);
  sockets_ = std::move(*sockets);
  control_ = shared_.data();
  control_->ends.store(1, std::memory_order_relaxed);
  control_->end[0].holder.store(::getpid(), std::memory_order_relaxed);
  return {};
}

// Its holder may be killed, or have jumped out of a call by a signal handler. Each change is whole by itself, so there
// is nothing to repair then.
void family::acquire() {
  const auto process = static_cast<std::uint64_t>(::getpid());
  const std::uint64_t me = process << 32 | static_cast<std::uint64_t>(::syscall(SYS_gettid));
  std::uint64_t holder = 0;
  while (!control_->lock_holder.compare_exchange_weak(holder, me, std::memory_order_acq_rel)) {
    if (holder == me) return;
    if (holder != 0 && holder >> 32 != process && has_ended(static_cast<pid_t>(holder >> 32))) continue;
    holder = 0;
    ::sched_yield();
  }
}

result<unsigned> family::take_end(pid_t by) {
  const unsigned count = control_->ends.load(std::memory_order_acquire);
  for (unsigned number = 1; number < count; ++number) {
    pid_t nobody = 0;
    if (end(number).holder.compare_exchange_strong(nobody, by, std::memory_order_acq_rel)) return number;
  }
  return error{EUSERS};
}

shared_socket* family::find(std::uint64_t cookie) const {
  for (std::size_t i = 0; i < control_->sockets_used; ++i) {
    if (sockets_[i].cookie == cookie && sockets_[i].users.load(std::memory_order_acquire) != 0) return &sockets_[i];
  }
  return nullptr;
}

shared_socket* family::take_socket(std::uint64_t cookie, bool is_new) {
  const guard held(*this);
  if (shared_socket* known = is_new ? nullptr : find(cookie)) {
    known->users.fetch_add(1, std::memory_order_relaxed);
    return known;
  }
  for (std::size_t i = 0; i < 64; ++i) {
    const std::size_t at = control_->next_socket++ % most_sockets;
    shared_socket& candidate = sockets_[at];
    if (candidate.users.load(std::memory_order_acquire) != 0) continue;
    candidate.users.store(1, std::memory_order_relaxed);
    candidate.cookie = cookie;
    candidate.is_fast.store(true, std::memory_order_release);
    candidate.losses.store(0, std::memory_order_relaxed);
    candidate.joins.store(0, std::memory_order_relaxed);
    control_->sockets_used = std::max(control_->sockets_used, at + 1);
    return &candidate;
  }
  return nullptr;
}

bool family::use(shared_socket& socket, std::uint64_t cookie) {
  const guard held(*this);
  if (socket.cookie != cookie) return false;
  socket.users.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void family::remember(std::uint64_t cookie) {
  cookies_[control_->remembered.fetch_add(1, std::memory_order_relaxed) % most_remembered].store(
      cookie, std::memory_order_release);
}

bool family::knows(std::uint64_t cookie) const {
  const std::size_t used = std::min<std::size_t>(control_->remembered.load(std::memory_order_acquire), most_remembered);
  return std::any_of(cookies_.begin(), cookies_.begin() + used,
                     [&](const auto& known) { return known.load(std::memory_order_acquire) == cookie; });
}

bool has_ended(pid_t process) {
  const int handle = static_cast<int>(::syscall(SYS_pidfd_open, process, 0));
  if (handle < 0) return errno == ESRCH || (errno == ENOSYS && ::kill(process, 0) != 0 && errno == ESRCH);
  pollfd watched{handle, POLLIN, 0};
  const bool ended = ::poll(&watched, 1, 0) == 1;
  ::close(handle);
  return ended;
}

}  // namespace fastudp
