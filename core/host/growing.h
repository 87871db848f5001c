#pragma once
// A list that grows without exceptions: when memory ends, it says so.

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <span>

namespace fastudp {

template <typename T>
class growing {
 public:
  bool add(const T& item) {
    if (count_ == room_ && !grow()) return false;
    items_[count_++] = item;
    return true;
  }
  T* begin() { return items_.get(); }
  T* end() { return items_.get() + count_; }
  std::span<const T> all() const { return {items_.get(), count_}; }
  void shrink(T* to) { count_ = static_cast<std::size_t>(to - items_.get()); }

 private:
  bool grow() {
    const std::size_t wanted = room_ == 0 ? 64 : room_ * 2;
    std::unique_ptr<T[]> larger(new (std::nothrow) T[wanted]);
    if (larger == nullptr) return false;
    std::copy_n(items_.get(), count_, larger.get());
    items_ = std::move(larger);
    room_ = wanted;
    return true;
  }

  std::unique_ptr<T[]> items_;
  std::size_t count_ = 0, room_ = 0;
};

}  // namespace fastudp
