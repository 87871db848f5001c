// The few functions of a C++ runtime that core/ needs, so that libfastudp.so is linked against libc alone.
// They are hidden: a program's own operators new and delete are neither replaced nor used.

#include <cstdlib>
#include <new>

void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size == 0 ? 1 : size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size == 0 ? 1 : size); }

void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  void* out = nullptr;
  return ::posix_memalign(&out, static_cast<std::size_t>(alignment), size) == 0 ? out : nullptr;
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t& tag) noexcept {
  return operator new(size, alignment, tag);
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

// Stands in the vtable of an abstract class, where no call can reach it.
extern "C" [[noreturn]] void __cxa_pure_virtual() { __builtin_trap(); }

namespace std {
const nothrow_t nothrow{};

// Checks inside header-only parts of the standard library refer to these; none of ours can fail.
[[noreturn]] void __throw_out_of_range_fmt(const char*, ...) { __builtin_trap(); }
[[noreturn]] void __throw_bad_array_new_length() { __builtin_trap(); }
void __glibcxx_assert_fail(const char*, int, const char*, const char*) noexcept { __builtin_trap(); }
}  // namespace std
