#pragma once
// A short row of packets that moves through the layers as one. Whoever holds the burst owns its packets.

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "packet/pool.h"

namespace fastudp {

class burst {
 public:
  static constexpr std::size_t capacity = 64;

  burst() = default;
  burst(const burst&) = delete;
  burst& operator=(const burst&) = delete;
  ~burst() { release_all(); }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t room() const { return limit_ - size_; }
  // Fewer than capacity, for whoever wants no more.
  void limit_to(std::size_t most) { limit_ = most < capacity ? most : capacity; }
  std::span<packet* const> packets() const { return {packets_.data(), size_}; }

  // The caller has checked room().
  void append(packet* p) { packets_[size_++] = p; }
  // Gives up ownership of the first n: somebody else has them now.
  void forget_front(std::size_t n) {
    size_ -= n;
    std::copy_n(packets_.data() + n, size_, packets_.data());
  }
  void forget_all() { size_ = 0; }
  void release_all() {
    for (packet* p : packets()) release(p);
    size_ = 0;
  }

 private:
  std::array<packet*, capacity> packets_;
  std::size_t size_ = 0;
  std::size_t limit_ = capacity;
};

}  // namespace fastudp
