#pragma once
// Memory that is taken once, at open, and shared with children after a fork.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/result.h"

namespace fastudp {

// Zeroed pages, MAP_SHARED: a forked child that takes a stack over sees the same rings, frames and counters.
// Untouched pages cost address space only.
class shared_memory {
 public:
  shared_memory() = default;
  static result<shared_memory> map(std::size_t bytes);
  // So many bytes of a file, from `offset` on.
  static result<shared_memory> map_file(int file, std::size_t bytes, std::uint64_t offset = 0);
  shared_memory(shared_memory&& other) noexcept { swap(other); }
  shared_memory& operator=(shared_memory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~shared_memory();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  void swap(shared_memory& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// A fixed number of T in shared memory. T must be valid when all its bytes are zero, and need no destructor.
template <typename T>
class shared_array {
 public:
  static result<shared_array> map(std::size_t count) {
    if (count > SIZE_MAX / sizeof(T)) return error{ENOMEM};
    auto memory = shared_memory::map(count * sizeof(T));
    if (!memory) return memory.failure();
    shared_array out;
    out.memory_ = std::move(*memory);
    out.count_ = count;
    return out;
  }

  T* data() const { return reinterpret_cast<T*>(memory_.data()); }
  T& operator[](std::size_t i) const { return data()[i]; }
  std::size_t size() const { return count_; }
  T* begin() const { return data(); }
  T* end() const { return data() + count_; }

 private:
  shared_memory memory_;
  std::size_t count_ = 0;
};

}  // namespace fastudp
