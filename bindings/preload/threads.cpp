// Threads that plugins start while the stack is opened are the library's for good, with all that they open.

#include <pthread.h>

#include <cerrno>
#include <cstdlib>

#include "inside.h"
#include "real.h"

using namespace preload;

namespace {

struct beginning {
  void* (*run)(void*);
  void* with;
};

void* run_for_library(void* given) {
  const beginning wanted = *static_cast<beginning*>(given);
  std::free(given);
  set_thread_is_opening(true);
  return wanted.run(wanted.with);
}

}  // namespace

int hook::pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* with) {
  if (!thread_is_opening()) return real.pthread_create(thread, attributes, run, with);
  auto* const wanted = static_cast<beginning*>(std::malloc(sizeof(beginning)));
  if (wanted == nullptr) return EAGAIN;
  *wanted = {run, with};
  const int outcome = real.pthread_create(thread, attributes, run_for_library, wanted);
  if (outcome != 0) std::free(wanted);
  return outcome;
}
