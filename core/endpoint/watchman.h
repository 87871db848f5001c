#pragma once
// A thread for readers that the calls of this process don't show:
// - Raw system calls, io_uring: a socket that datagrams come for and that no call of ours has ever looked at is left to
//   the kernel, with what came for it until then.
// - Processes that have forked from this one, and have left a socket to the kernel while none of our threads is in a
//   call: they wait for what this process has for it.

#include <pthread.h>

#include <atomic>

#include "base/descriptor.h"
#include "base/result.h"

namespace fastudp {

class engine;

class watchman {
 public:
  explicit watchman(engine& of) : engine_(of) {}
  watchman(const watchman&) = delete;
  watchman& operator=(const watchman&) = delete;
  ~watchman() { stop(); }
  // The descriptor that wakes it.
  status open();

  // A socket is there that no call has looked at. Within a turn; begins the watch if need be.
  void look_out();
  // Another process may ring from now on. In the parent after fork.
  void listen();
  void ring() const;
  // In a child after fork: the thread is the parent's.
  void forget() { runs_ = false; }

 private:
  static void* run(void* self);
  void watch();
  // Whether the bell has rung before `fd` was readable or the time was over.
  bool rings(int fd, int milliseconds);
  void start();
  void stop();

  engine& engine_;
  descriptor bell_;
  pthread_t thread_{};
  bool runs_ = false;
  std::atomic<bool> sleeps_{false}, must_stop_{false};
};

}  // namespace fastudp
