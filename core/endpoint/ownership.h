#pragma once
// Whose a stack is once its process has forked: rings, frames and tables are shared memory, and only one process may
// work with them, the holder of its end of the link. A child that receives takes a stack over that nobody has used
// since the fork, as after daemon(). Everybody else makes a stack of his own, where the link has an end for him, or is
// a guest.

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "endpoint/family.h"

namespace fastudp {

class ownership {
 public:
  // This process has the end from now on.
  void begin(shared_end& end);

  bool is_ours() const { return end().holder.load(std::memory_order_relaxed) == me_; }
  // With the stack's lock held. Counts a use, by which others see that the owner goes on.
  void use() { end().uses.store(end().uses.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  // For a process that isn't the owner, with the stack's lock held: becomes it, if it may.
  bool take_over();
  bool owner_is_gone() const;
  pid_t me() const { return me_; }

  // Around fork, with the stack's lock held: a child knows what had been used by then, and whether other threads wait
  // for the stack here.
  void before_fork(bool is_awaited);
  void start_as_child();

 private:
  shared_end& end() const { return *end_.load(std::memory_order_acquire); }

  std::atomic<shared_end*> end_{nullptr};
  pid_t me_ = 0;
  // In whose memory the stack's tables are, as they were at the fork from it.
  pid_t predecessor_ = 0;
  bool has_heirs_ = false;
  std::uint64_t uses_at_fork_ = 0;
};

}  // namespace fastudp
