#pragma once
// Objects whose memory is used again but never given back: whoever holds a stale pointer finds an object of the type.

#include <pthread.h>
#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace preload {

class mutex_guard {
 public:
  explicit mutex_guard(pthread_mutex_t& m) : mutex_(m) { pthread_mutex_lock(&mutex_); }
  ~mutex_guard() { pthread_mutex_unlock(&mutex_); }
  mutex_guard(const mutex_guard&) = delete;
  mutex_guard& operator=(const mutex_guard&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

// T has a member `next`, and is made once only.
template <typename T, T* T::*Next>
class pool {
 public:
  T* take() {
    mutex_guard held(mutex_);
    if (free_ == nullptr) grow();
    T* out = free_;
    if (out != nullptr) free_ = out->*Next;
    return out;
  }
  void give(T* what) {
    mutex_guard held(mutex_);
    what->*Next = free_;
    free_ = what;
  }
  // Around a fork, so that the child finds it in order.
  void lock() { pthread_mutex_lock(&mutex_); }
  void unlock() { pthread_mutex_unlock(&mutex_); }

 private:
  static constexpr std::size_t chunk = 16384;

  void grow() {
    void* memory = mmap(nullptr, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    for (std::size_t i = 0; i < chunk / sizeof(T); ++i) {
      T* made = new (static_cast<char*>(memory) + i * sizeof(T)) T;
      made->*Next = free_;
      free_ = made;
    }
  }

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  T* free_ = nullptr;
};

}  // namespace preload
