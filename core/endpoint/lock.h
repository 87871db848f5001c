#pragma once
// The one lock of a stack. It is taken once per call, whatever the size of the burst. A thread that holds it can't be
// cancelled, though it calls functions of libc at which it could be.

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
      became_mine();
    }
  }
  bool try_acquire() {
    if (pthread_mutex_trylock(mutex_) != 0) return false;
    became_mine();
    return true;
  }
  void give_up() {
    holder_.store(pthread_t{}, std::memory_order_relaxed);
    const int before = cancelled_as_before_;
    pthread_mutex_unlock(mutex_);
    pthread_setcancelstate(before, nullptr);
  }
  // In a child after fork: who holds it isn't here.
  void forget_holder() { holder_.store(pthread_t{}, std::memory_order_relaxed); }
  // Whoever held it is gone.
  void renew();

 private:
  void became_mine() {
    holder_.store(pthread_self(), std::memory_order_relaxed);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelled_as_before_);
  }
  bool is_mine() const { return pthread_equal(holder_.load(std::memory_order_relaxed), pthread_self()) != 0; }

  std::atomic<pthread_t> holder_{};
  int cancelled_as_before_ = PTHREAD_CANCEL_ENABLE;  // the state of the thread that holds it
  pthread_mutex_t own_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_t* mutex_ = &own_;
  shared_array<pthread_mutex_t> shared_;
};

}  // namespace fastudp
