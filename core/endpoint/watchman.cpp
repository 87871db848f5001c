#include "endpoint/watchman.h"

#include <poll.h>
#include <sys/eventfd.h>
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

void watchman::ring() const { (void)::eventfd_write(bell_.number(), 1); }

void watchman::start() {
  if (!runs_) runs_ = bool(start_thread(thread_, &run, this));
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
  pollfd waited[] = {{bell_.number(), POLLIN, 0}, {fd, POLLIN, 0}};
  (void)::poll(waited, 2, milliseconds);
  if (waited[0].revents == 0) return false;
  eventfd_t times;
  (void)::eventfd_read(bell_.number(), &times);
  engine_.serve_guests();
  return true;
}

void watchman::watch() {
  while (!must_stop_.load(std::memory_order_relaxed)) {
    sleeps_.store(true, std::memory_order_release);  // before looking: who comes later rings
    const bool has_to_watch = engine_.has_unseen_sockets();
    if (has_to_watch) sleeps_.store(false, std::memory_order_relaxed);
    if (rings(has_to_watch ? engine_.link_descriptor() : -1, -1)) continue;
    if (!rings(-1, patience_ms)) engine_.leave_unseen_to_kernel();
  }
}

}  // namespace fastudp
