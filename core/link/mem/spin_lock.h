#pragma once
// A lock for a few dozen instructions: taken once per burst, never held across a system call. It is valid when zeroed,
// so that it can stand in shared memory and in a constant-initialised global.

#include <sched.h>

#include <atomic>

namespace fastudp::mem {

class spin_lock {
 public:
  void lock() {
    for (unsigned tries = 1; held_.exchange(true, std::memory_order_acquire); ++tries) {
      // The holder may have lost its processor, then spinning would only keep it from going on.
      if (tries % 64 == 0) ::sched_yield();
    }
  }
  void unlock() { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

class locked {
 public:
  explicit locked(spin_lock& lock) : lock_(lock) { lock_.lock(); }
  locked(const locked&) = delete;
  locked& operator=(const locked&) = delete;
  ~locked() { lock_.unlock(); }

 private:
  spin_lock& lock_;
};

}  // namespace fastudp::mem
