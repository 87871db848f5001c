#pragma once
// A datagram in one piece: the pieces that a program names are gathered, or scattered, around the call.

#include <limits.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace preload {

inline constexpr std::size_t largest_datagram = 65535;

class payload {
 public:
  payload() = default;
  payload(const payload&) = delete;
  payload& operator=(const payload&) = delete;
  ~payload() { std::free(own_); }

  // False: the kernel would refuse it, or there is no memory. One piece is used where it is.
  bool name(const iovec* pieces, std::size_t count) {
    if (count > 1024 || (pieces == nullptr && count != 0)) return false;
    pieces_ = pieces;
    count_ = count;
    for (std::size_t i = 0; i < count; ++i) {
      if (!has_null_ && pieces[i].iov_base == nullptr && pieces[i].iov_len != 0) {
        has_null_ = true;
        before_null_ = size_;
      }
      if (pieces[i].iov_len > SSIZE_MAX - size_) return false;
      size_ += pieces[i].iov_len;
    }
    if (count <= 1) {
      data_ = count == 0 ? nullptr : static_cast<std::byte*>(pieces[0].iov_base);
      return true;
    }
    // A byte more than a datagram has tells one that is too long.
    size_ = std::min(size_, largest_datagram + 1);
    data_ = own_ = static_cast<std::byte*>(std::malloc(size_ + 1));
    return own_ != nullptr;
  }

  void gather() {
    std::size_t at = 0;
    for (std::size_t i = 0; own_ != nullptr && !has_null_ && i < count_ && at < size_; ++i) {
      const std::size_t n = std::min(pieces_[i].iov_len, size_ - at);
      std::memcpy(own_ + at, pieces_[i].iov_base, n);
      at += n;
    }
  }

  void scatter(std::size_t received) {
    std::size_t at = 0;
    for (std::size_t i = 0; own_ != nullptr && i < count_ && at < received; ++i) {
      const std::size_t n = std::min(pieces_[i].iov_len, received - at);
      std::memcpy(pieces_[i].iov_base, own_ + at, n);
      at += n;
    }
  }

  // A piece is nowhere: whatever has to go there is a fault.
  bool has_null() const { return has_null_; }
  // Of so many bytes that came, some have to go there.
  bool is_beyond(std::size_t received) const { return has_null_ && std::min(received, size_) > before_null_; }
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  const iovec* pieces_ = nullptr;
  std::size_t count_ = 0;
  std::byte* data_ = nullptr;
  std::byte* own_ = nullptr;
  std::size_t size_ = 0, before_null_ = 0;
  bool has_null_ = false;
};

}  // namespace preload
