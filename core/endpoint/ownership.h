#pragma once
// Whose a stack is once its process has forked: rings, frames and tables are shared memory, and only one process may
// work with them. A child that receives takes a stack over that nobody has used since the fork, as after daemon().
// Otherwise it, and everybody else who isn't the owner, is a guest, whose sockets become the kernel's for all.

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "base/memory.h"
#include "base/result.h"

namespace fastudp {

class ownership {
 public:
  // This process is the owner.
  status open();

  bool is_ours() const { return control_->owner.load(std::memory_order_relaxed) == me_; }
  // With the stack's lock held. Counts a use, by which others see that the owner goes on.
  void use() { control_->uses.store(control_->uses.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  // For a process that isn't the owner, with the lock held: whether it may become it; then it is.
  bool take_over();
  bool owner_is_gone() const;

  // Sockets that guests have left to the kernel: the owner has to let go of them.
  void announce_handover() { control_->handovers.fetch_add(1, std::memory_order_release); }
  bool handovers_happened();

  // Around fork, with the lock held: a child knows what had been used by then.
  void before_fork() { uses_at_fork_ = control_->uses.load(std::memory_order_relaxed); }
  void start_as_child();

  // A flag that all processes see: whether a socket is on the fast path. Null: none is left, use one of your own.
  std::atomic<bool>* take_flag();
  void give_back(std::atomic<bool>* flag);

 private:
  struct control {
    std::atomic<pid_t> owner;
    std::atomic<std::uint32_t> handovers;
    std::atomic<std::uint64_t> uses;
  };
  struct flag {
    std::atomic<bool> value;
    bool taken;
  };
  static constexpr std::size_t most_flags = 65'536;

  shared_array<control> shared_;
  shared_array<flag> flags_;
  control* control_ = nullptr;
  pid_t me_ = 0;
  bool is_child_ = false;
  std::uint64_t uses_at_fork_ = 0;
  std::uint32_t handovers_seen_ = 0;
  std::size_t next_flag_ = 0;
};

}  // namespace fastudp
