#pragma once
// libc's functions behind our hooks, and the hooks, which bear libc's names in the object file only: they take no
// varargs and don't quarrel with the attributes that the system's headers give to these names.

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "raw.h"

namespace preload {

// Callable at any time: what isn't found yet finds all first, or goes straight to the kernel.
namespace early {
#define PRELOAD_CALL(result, name, parameters, arguments, number) result name parameters;
#define PRELOAD_CREATOR PRELOAD_CALL
#define PRELOAD_LIST(...)
#include "calls.def"
#undef PRELOAD_CALL
#undef PRELOAD_CREATOR
#undef PRELOAD_LIST
}  // namespace early

struct real_calls {
#define PRELOAD_CALL(result, name, parameters, arguments, number) result(*name) parameters = early::name;
#define PRELOAD_CREATOR PRELOAD_CALL
#define PRELOAD_LIST(...)
#include "calls.def"
#undef PRELOAD_CALL
#undef PRELOAD_CREATOR
#undef PRELOAD_LIST
};
extern real_calls real;

void find_real_calls();

namespace hook {
#define PRELOAD_CALL(result, name, parameters, arguments, number) \
  [[gnu::visibility("default")]] result name parameters asm(#name);
#define PRELOAD_CREATOR PRELOAD_CALL
#define PRELOAD_LIST(result, name, parameters) PRELOAD_CALL(result, name, parameters, (), none)
#include "calls.def"
#undef PRELOAD_CALL
#undef PRELOAD_CREATOR
#undef PRELOAD_LIST
}  // namespace hook

}  // namespace preload
