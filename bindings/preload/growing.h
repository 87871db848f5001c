#pragma once
// A row of plain values that begins on the stack.

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <type_traits>

namespace preload {

template <typename T, std::size_t Own>
class growing {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  growing() = default;
  growing(const growing&) = delete;
  growing& operator=(const growing&) = delete;
  ~growing() {
    if (data_ != own_) std::free(data_);
  }

  // False: no memory.
  bool add(const T& value) {
    if (size_ == room_ && !grow()) return false;
    data_[size_++] = value;
    return true;
  }
  void remove(std::size_t i) {
    --size_;
    std::memmove(data_ + i, data_ + i + 1, (size_ - i) * sizeof(T));
  }
  void clear() { size_ = 0; }

  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data_[i]; }

 private:
  bool grow() {
    auto* more = static_cast<T*>(std::malloc(room_ * 2 * sizeof(T)));
    if (more == nullptr) return false;
    std::memcpy(static_cast<void*>(more), data_, size_ * sizeof(T));
    if (data_ != own_) std::free(data_);
    data_ = more;
    room_ *= 2;
    return true;
  }

  T own_[Own];
  T* data_ = own_;
  std::size_t size_ = 0, room_ = Own;
};

}  // namespace preload
