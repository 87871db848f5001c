#include "endpoint/lock.h"

namespace fastudp {

status lock::share() {
  auto made = shared_array<pthread_mutex_t>::map(1);
  if (!made) return made.failure();
  shared_ = std::move(*made);
  mutex_ = shared_.data();
  renew();
  return {};
}

void lock::renew() {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(mutex_, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

}  // namespace fastudp
