#pragma once
// A thread for readers that the calls of this process don't show:
// - Raw system calls, io_uring: a socket that datagrams come for and that no call of ours has ever looked at is left to
//   the kernel, with what came for it until then.
// - Processes of the family, that is, forked from one another: they wait for what this process has for a socket that
// they
//   read from now on, while none of our threads is in a call.
// - What a process of the family received that has ended goes to the others.

#include <pthread.h>

#include <sys/types.h>

#include <array>
#include <atomic>

#include "base/descriptor.h"
#include "base/result.h"
#include "link/link.h"

namespace fastudp {

class engine;

class watchman {
 public:
  explicit watchman(engine& of) : engine_(of) {}
  watchman(const watchman&) = delete;
  watchman& operator=(const watchman&) = delete;
  ~watchman() { stop(); }
  // The descriptor that wakes it, and those of the whole family.
  status open();

  // A socket is there that no call has looked at. Within a turn; begins the watch if need be.
  void look_out();
  // Another process may ring, or end, from now on. In the parent after fork.
  void listen();
  void ring() const;
  // In a child after fork: the thread is the parent's.
  void forget() { runs_ = false; }

 private:
  struct sight {
    pid_t process = 0;
    descriptor handle;
  };
  static void* run(void* self);
  void watch();
  bool begin();
  void look_at_family();
  // Whether the bell has rung before `fd` was readable or the time was over.
  bool rings(int fd, int milliseconds);
  void start();
  void stop();

  engine& engine_;
  descriptor bell_;
  descriptor seen_;  // an epoll set: the bell, each time that it rings, and the processes of the family
  std::array<sight, most_ends> sights_;
  pthread_t thread_{};
  bool runs_ = false;
  std::atomic<bool> sleeps_{false}, must_stop_{false};
};

}  // namespace fastudp
