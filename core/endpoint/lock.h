#pragma once
// The one lock of a stack. It is taken once per call, whatever the size of the burst.

#include <pthread.h>

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

  void acquire() { pthread_mutex_lock(mutex_); }
  bool try_acquire() { return pthread_mutex_trylock(mutex_) == 0; }
  void give_up() { pthread_mutex_unlock(mutex_); }
  // Whoever held it is gone.
  void renew();

 private:
  pthread_mutex_t own_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_t* mutex_ = &own_;
  shared_array<pthread_mutex_t> shared_;
};

}  // namespace fastudp
