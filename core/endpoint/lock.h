#pragma once
// The one lock of a stack. It is taken once per call, whatever the size of the burst.

#include <pthread.h>

namespace fastudp {

class lock {
 public:
  lock() = default;
  lock(const lock&) = delete;
  lock& operator=(const lock&) = delete;
  ~lock() { pthread_mutex_destroy(&mutex_); }

  void acquire() { pthread_mutex_lock(&mutex_); }
  void give_up() { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

}  // namespace fastudp
