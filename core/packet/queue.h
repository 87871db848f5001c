#pragma once
// A first-in first-out list of packets, linked through the packets themselves.

#include <cstddef>

#include "packet/pool.h"

namespace fastudp {

class packet_queue {
 public:
  packet_queue() = default;
  packet_queue(const packet_queue&) = delete;
  packet_queue& operator=(const packet_queue&) = delete;
  ~packet_queue() { release_all(); }

  bool empty() const { return head_ == nullptr; }
  std::size_t size() const { return size_; }
  packet* front() const { return head_; }
  packet* back() const { return head_ == nullptr ? nullptr : tail_; }

  void push(packet* p) {
    p->next = nullptr;
    (head_ == nullptr ? head_ : tail_->next) = p;
    tail_ = p;
    ++size_;
  }
  // Null when empty.
  packet* pop() {
    packet* p = head_;
    if (p == nullptr) return nullptr;
    head_ = p->next;
    p->next = nullptr;
    --size_;
    return p;
  }
  void release_all() {
    while (packet* p = pop()) release(p);
  }

 private:
  packet* head_ = nullptr;
  packet* tail_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace fastudp
