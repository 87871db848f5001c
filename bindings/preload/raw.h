#pragma once
// System calls without libc, for the time before libc's own functions are found.

#include <netinet/in.h>
#include <sys/syscall.h>

#include <bit>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <type_traits>

namespace preload {

// The kernel's own result: -errno on failure.
inline long raw_call(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
#else
#error "how does this processor call the kernel?"
#endif
}

template <typename T>
long to_word(T* pointer) {
  return std::bit_cast<long>(pointer);
}
inline long to_word(std::nullptr_t) { return 0; }
inline long to_word(in_addr address) { return address.s_addr; }
template <std::integral T>
long to_word(T number) {
  return static_cast<long>(number);
}

template <typename Result>
Result give_raw(long result) {
  if (result < 0) {
    errno = static_cast<int>(-result);
    result = -1;
  }
  // No system call gives a pointer to what libc makes.
  if constexpr (std::is_pointer_v<Result>) return nullptr;
  if constexpr (std::integral<Result>) return static_cast<Result>(result);
}

// As libc would give it: -1 and errno. `none` as number fails with ENOSYS.
inline constexpr long none = -1;
template <typename Result, typename... Argument>
Result raw(long number, Argument... arguments) {
  if (number == none) return give_raw<Result>(-ENOSYS);
  long words[sizeof...(arguments) + 6] = {to_word(arguments)...};
  return give_raw<Result>(raw_call(number, words[0], words[1], words[2], words[3], words[4], words[5]));
}

// libc's own could end a thread that is being cancelled, and leave something of ours half done.
inline int close_uncancelled(int fd) { return raw<int>(SYS_close, fd); }

}  // namespace preload
