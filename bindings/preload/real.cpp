#include "real.h"

#include <dlfcn.h>

#include <atomic>

// glibc 2.34 moved it into libc under a newer version.
extern "C" void* first_dlsym(void* where, const char* name);
asm(".symver first_dlsym,dlsym@" FASTUDP_FIRST_GLIBC);

namespace preload {

constinit real_calls real;

namespace {

enum : int { not_begun, begun, done };
constinit std::atomic<int> progress{not_begun};

template <typename Function>
void find(Function*& call, const char* name) {
  if (void* found = first_dlsym(RTLD_NEXT, name)) call = reinterpret_cast<Function*>(found);
}

}  // namespace

// dlsym may allocate memory, and an allocator may call functions of ours: those then find that it has begun.
void find_real_calls() {
  int expected = not_begun;
  if (!progress.compare_exchange_strong(expected, begun)) return;
  const int error = errno;
#define PRELOAD_CALL(result, name, parameters, arguments, number) find(real.name, #name);
#define PRELOAD_CREATOR PRELOAD_CALL
#define PRELOAD_LIST(...)
#define PRELOAD_ALIAS(...)
#include "calls.def"
#undef PRELOAD_CALL
#undef PRELOAD_CREATOR
#undef PRELOAD_LIST
#undef PRELOAD_ALIAS
  errno = error;
  progress.store(done, std::memory_order_release);
}

// A function that this libc doesn't have stays with its early form for good.
namespace early {
#define PRELOAD_CALL(result, name, parameters, arguments, number)               \
  result name parameters {                                                      \
    find_real_calls();                                                          \
    if (real.name != early::name) return real.name arguments;                   \
    return [](auto... each) { return raw<result>(number, each...); } arguments; \
  }
#define PRELOAD_CREATOR PRELOAD_CALL
#define PRELOAD_LIST(...)
#define PRELOAD_ALIAS(...)
#include "calls.def"
#undef PRELOAD_CALL
#undef PRELOAD_CREATOR
#undef PRELOAD_LIST
#undef PRELOAD_ALIAS
}  // namespace early

}  // namespace preload
