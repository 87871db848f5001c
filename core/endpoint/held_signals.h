#pragma once
// Signals that come while a call is long at work, before it sleeps. Where the call would sleep then, it fails with
// EINTR, as the kernel's does, which a signal can't reach before it sleeps.

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <ctime>
#include <initializer_list>

namespace fastudp {

class held_signals {
 public:
  held_signals() {
    sigset_t all;
    ::sigfillset(&all);
    for (const int fault : {SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP}) ::sigdelset(&all, fault);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~held_signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  held_signals(const held_signals&) = delete;
  held_signals& operator=(const held_signals&) = delete;

  // What has come is delivered; whether that ran a handler.
  bool deliver() const {
    const timespec at_once{};
    return ::ppoll(nullptr, 0, &at_once, &before_) < 0;
  }

 private:
  sigset_t before_;
};

}  // namespace fastudp
