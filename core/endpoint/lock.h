#pragma once
// The one lock of a stack. It is taken once per call, whatever the size of the burst.

#include <pthread.h>

#include <atomic>

#include "base/memory.h"
#include "base/result.h"

namespace fastudp {

class lock {
 public:
  lock() = default;
  lock(const lock&) = delete;
  lock& operator=(const lock&) = delete;
  ~lock() { pthread_mutex_destroy(&own_); }

  // From now on the lock holds between processes that fork from this one as well. Nobody holds it now.
  status share();

  void acquire() {
    // A siglongjmp out of a handler has left a call that held it: it is still this thread's.
    if (!try_acquire() && !is_mine()) [[unlikely]] {
      pthread_mutex_lock(mutex_);
      holder_.store(pthread_self(), std::memory_order_relaxed);
    }
  }
  bool try_acquire() {
    if (pthread_mutex_trylock(mutex_) != 0) return false;
    holder_.store(pthread_self(), std::memory_order_relaxed);
    return true;
  }
  void give_up() {
    holder_.store(pthread_t{}, std::memory_order_relaxed);
    pthread_mutex_unlock(mutex_);
  }
  // In a child after fork: who holds it isn't here.
  void forget_holder() { holder_.store(pthread_t{}, std::memory_order_relaxed); }
  // Whoever held it is gone.
  void renew();

 private:
  bool is_mine() const { return pthread_equal(holder_.load(std::memory_order_relaxed), pthread_self()) != 0; }

  std::atomic<pthread_t> holder_{};
  pthread_mutex_t own_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_t* mutex_ = &own_;
  shared_array<pthread_mutex_t> shared_;
};

}  // namespace fastudp
