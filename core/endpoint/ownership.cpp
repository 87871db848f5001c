#include "endpoint/ownership.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace fastudp {

status ownership::open() {
  auto made = shared_array<control>::map(1);
  if (!made) return made.failure();
  auto flags = shared_array<flag>::map(most_flags);
  if (!flags) return flags.failure();
  shared_ = std::move(*made);
  flags_ = std::move(*flags);
  control_ = shared_.data();
  me_ = ::getpid();
  control_->owner.store(me_, std::memory_order_relaxed);
  return {};
}

void ownership::start_as_child() {
  me_ = ::getpid();
  is_child_ = true;
}

bool ownership::take_over() {
  const bool untouched = is_child_ && control_->uses.load(std::memory_order_relaxed) == uses_at_fork_;
  if (!untouched) return false;
  control_->owner.store(me_, std::memory_order_relaxed);
  return true;
}

// A process that has ended counts as gone though nobody has waited for it yet.
bool ownership::owner_is_gone() const {
  const pid_t owner = control_->owner.load(std::memory_order_relaxed);
  const int handle = static_cast<int>(::syscall(SYS_pidfd_open, owner, 0));
  if (handle < 0) return errno == ESRCH || (errno == ENOSYS && ::kill(owner, 0) != 0 && errno == ESRCH);
  pollfd watched{handle, POLLIN, 0};
  const bool has_ended = ::poll(&watched, 1, 0) == 1;
  ::close(handle);
  return has_ended;
}

bool ownership::handovers_happened() {
  const std::uint32_t now = control_->handovers.load(std::memory_order_acquire);
  if (now == handovers_seen_) return false;
  handovers_seen_ = now;
  return true;
}

std::atomic<bool>* ownership::take_flag() {
  for (std::size_t i = 0; i < 64; ++i) {
    flag& candidate = flags_[next_flag_++ % most_flags];
    if (candidate.taken) continue;
    candidate.taken = true;
    return &candidate.value;
  }
  return nullptr;
}

void ownership::give_back(std::atomic<bool>* value) {
  flags_[static_cast<std::size_t>(reinterpret_cast<flag*>(value) - flags_.data())].taken = false;
}

}  // namespace fastudp
