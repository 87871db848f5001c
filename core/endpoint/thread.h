#pragma once
// Threads of the library's own, in somebody else's process.

#include <pthread.h>
#include <signal.h>

#include <cstddef>

#include "base/result.h"

namespace fastudp {

// Signals are the program's: none is delivered to this thread.
inline status start_thread(pthread_t& out, void* (*run)(void*), void* argument) {
  constexpr std::size_t stack_size = std::size_t{256} * 1024;
  sigset_t all, before;
  ::sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_size);
  const int problem = pthread_create(&out, &attributes, run, argument);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return problem == 0 ? status{} : error{problem};
}

}  // namespace fastudp
