#include "endpoint/watchman.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "endpoint/engine.h"
#include "endpoint/thread.h"

namespace fastudp {
namespace {

// A program that is about to look has so long for it.
constexpr int patience_ms = 10;

}  // namespace

status watchman::open() {
  bell_ = descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  return bell_ ? status{} : error{errno};
}

void watchman::look_out() {
  if (runs_ && sleeps_.load(std::memory_order_acquire)) ring();
  start();
}

void watchman::listen() { start(); }

// Each process notices by its own set; so nobody takes the bell's count back, which has room for ever.
void watchman::ring() const {
  if (bell_) (void)::eventfd_write(bell_.number(), 1);
}

void watchman::start() {
  if (!runs_ && begin()) runs_ = bool(start_thread(thread_, &run, this));
}

bool watchman::begin() {
  sights_ = {};
  seen_ = descriptor(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event rings{.events = EPOLLIN | EPOLLET, .data = {}};
  return seen_ && ::epoll_ctl(seen_.number(), EPOLL_CTL_ADD, bell_.number(), &rings) == 0;
}

// A handle is readable once its process has ended.
void watchman::look_at_family() {
  for (unsigned end = 0; end < most_ends; ++end) {
    sight& known = sights_[end];
    const pid_t holder = engine_.relative_at(end);
    if (holder == known.process) continue;
    known = {};
    if (holder == 0) continue;
    known = {holder, descriptor(static_cast<int>(::syscall(SYS_pidfd_open, holder, 0)))};
    epoll_event ends{.events = EPOLLIN, .data = {}};
    if (known.handle) {
      (void)::epoll_ctl(seen_.number(), EPOLL_CTL_ADD, known.handle.number(), &ends);
    } else {
      engine_.look_after_family();  // it has ended just now
    }
  }
}

void watchman::stop() {
  if (!runs_) return;
  must_stop_.store(true, std::memory_order_relaxed);
  ring();
  pthread_join(thread_, nullptr);
}

void* watchman::run(void* self) {
  static_cast<watchman*>(self)->watch();
  return nullptr;
}

bool watchman::rings(int fd, int milliseconds) {
  pollfd waited[] = {{seen_.number(), POLLIN, 0}, {fd, POLLIN, 0}};
  (void)::poll(waited, 2, milliseconds);
  if (waited[0].revents == 0) return false;
  epoll_event news[most_ends + 1];
  (void)::epoll_wait(seen_.number(), news, most_ends + 1, 0);
  engine_.look_after_family();
  return true;
}

void watchman::watch() {
  while (!must_stop_.load(std::memory_order_relaxed)) {
    sleeps_.store(true, std::memory_order_release);  // before looking: who comes later rings
    look_at_family();
    const bool has_to_watch = engine_.has_unseen_sockets();
    if (has_to_watch) sleeps_.store(false, std::memory_order_relaxed);
    if (rings(has_to_watch ? engine_.link_descriptor() : -1, -1)) continue;
    if (!rings(-1, patience_ms)) engine_.leave_unseen_to_kernel();
  }
}

}  // namespace fastudp
