// glibc 2.32 and 2.34 gave functions of libpthread a newer symbol version when they moved into libc. Code linked on
// such a system wouldn't load on an older one, though nothing else changed. The linker's --wrap sends each call made in
// libfastudp.so to the pin below, which is bound to the first version. The build reads the rows of this table.

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>

#define PIN(function, result, parameters, arguments)                         \
  extern "C" result first_##function parameters;                             \
  __asm__(".symver first_" #function "," #function "@" FASTUDP_FIRST_GLIBC); \
  extern "C" result __wrap_##function parameters { return first_##function arguments; }

// clang-format off
PIN(dlopen, void*, (const char* path, int flags), (path, flags))
PIN(dlsym, void*, (void* library, const char* name), (library, name))
PIN(dlclose, int, (void* library), (library))
PIN(dladdr, int, (const void* address, Dl_info* out), (address, out))
PIN(pthread_create, int, (pthread_t* t, const pthread_attr_t* a, void* (*f)(void*), void* p), (t, a, f, p))
PIN(pthread_join, int, (pthread_t t, void** out), (t, out))
PIN(pthread_attr_setstacksize, int, (pthread_attr_t* a, size_t size), (a, size))
PIN(pthread_mutex_trylock, int, (pthread_mutex_t* m), (m))
PIN(pthread_mutexattr_init, int, (pthread_mutexattr_t* a), (a))
PIN(pthread_mutexattr_setpshared, int, (pthread_mutexattr_t* a, int how), (a, how))
PIN(pthread_mutexattr_destroy, int, (pthread_mutexattr_t* a), (a))
PIN(pthread_detach, int, (pthread_t t), (t))
PIN(pthread_sigmask, int, (int how, const sigset_t* set, sigset_t* old), (how, set, old))
PIN(pthread_once, int, (pthread_once_t* once, void (*f)()), (once, f))
PIN(pthread_kill, int, (pthread_t t, int signal), (t, signal))
// clang-format on
