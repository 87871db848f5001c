#include "endpoint/ownership.h"

#include <unistd.h>

namespace fastudp {

void ownership::begin(shared_end& end) {
  me_ = predecessor_ = ::getpid();
  has_heirs_ = false;
  end_.store(&end, std::memory_order_release);
}

void ownership::start_as_child() { me_ = ::getpid(); }

// What a process that isn't the owner knows, it leaves to its children as it is.
void ownership::before_fork(bool is_awaited) {
  if (!is_ours()) return;
  predecessor_ = me_;
  has_heirs_ = !is_awaited;
  uses_at_fork_ = end().uses.load(std::memory_order_relaxed);
}

bool ownership::take_over() {
  if (!has_heirs_ || end().uses.load(std::memory_order_relaxed) != uses_at_fork_) return false;
  pid_t from = predecessor_;
  return from != me_ && end().holder.compare_exchange_strong(from, me_, std::memory_order_acq_rel);
}

bool ownership::owner_is_gone() const {
  const pid_t owner = end().holder.load(std::memory_order_relaxed);
  return owner == 0 || has_ended(owner);
}

}  // namespace fastudp
