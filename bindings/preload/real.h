#pragma once
// libc's functions behind our hooks, and the hooks, which bear libc's names in the object file only: they take no
// varargs and don't quarrel with the attributes that the system's headers give to these names.

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
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
#define PRELOAD_ALIAS(...)
#include "calls.def"
#undef PRELOAD_CALL
#undef PRELOAD_CREATOR
#undef PRELOAD_LIST
#undef PRELOAD_ALIAS
}  // namespace early

struct real_calls {
#define PRELOAD_CALL(result, name, parameters, arguments, number) result(*name) parameters = early::name;
#define PRELOAD_CREATOR PRELOAD_CALL
#define PRELOAD_LIST(...)
#define PRELOAD_ALIAS(...)
#include "calls.def"
#undef PRELOAD_CALL
#undef PRELOAD_CREATOR
#undef PRELOAD_LIST
#undef PRELOAD_ALIAS
};
extern real_calls real;

void find_real_calls();

// Another function of libc's or of its libraries; null where it isn't there.
void* find_in_process(const char* name);
template <typename Function>
void find_in_process(Function*& function, const char* name) {
  function = reinterpret_cast<Function*>(find_in_process(name));
}

namespace hook {
#define PRELOAD_CALL(result, name, parameters, arguments, number) \
  [[gnu::visibility("default")]] result name parameters asm(#name);
#define PRELOAD_CREATOR PRELOAD_CALL
#define PRELOAD_LIST(result, name, parameters) PRELOAD_CALL(result, name, parameters, (), none)
#define PRELOAD_ALIAS(result, name, of, parameters, arguments) PRELOAD_CALL(result, name, parameters, arguments, none)
#include "calls.def"
#undef PRELOAD_CALL
#undef PRELOAD_CREATOR
#undef PRELOAD_LIST
#undef PRELOAD_ALIAS
}  // namespace hook

}  // namespace preload
