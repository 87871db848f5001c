#pragma once
// The datagrams that wait for a program, bounded in bytes as Linux bounds SO_RCVBUF.

#include <cstdint>

#include "packet/packet.h"
#include "packet/queue.h"

namespace fastudp {

// What a datagram of so many bytes costs of SO_RCVBUF: Linux's truesize on x86-64, bookkeeping included, so that many
// tiny datagrams are bounded as well.
constexpr std::uint32_t truesize(std::uint32_t payload) {
  constexpr std::uint32_t buffer_header = 256, headers_and_trailer = 380, smallest_buffer = 576;
  constexpr std::uint32_t largest_linear = 16'384;
  const std::uint32_t wanted = payload + headers_and_trailer;
  if (wanted <= smallest_buffer) return smallest_buffer + buffer_header;
  for (std::uint32_t size = 1024; size <= largest_linear; size *= 2) {
    if (wanted <= size) return size + buffer_header;
  }
  return payload + smallest_buffer + buffer_header;
}

class receive_queue {
 public:
  bool empty() const { return packets_.empty(); }
  std::size_t size() const { return packets_.size(); }
  packet* front() const { return packets_.front(); }
  packet* back() const { return packets_.back(); }
  std::uint32_t bytes() const { return used_; }

  // Takes ownership if it returns true; false: no room (an empty queue takes any datagram).
  bool push(packet* p, std::uint32_t limit) { return push(p, limit, p->length); }
  // One that had more bytes when it came.
  bool push(packet* p, std::uint32_t limit, std::uint32_t length) {
    const std::uint32_t charge = truesize(length);
    if (used_ + charge > limit && used_ != 0) return false;
    p->charge = charge;
    used_ += charge;
    packets_.push(p);
    return true;
  }
  // One that was popped.
  void push_again(packet* p) {
    used_ += p->charge;
    packets_.push(p);
  }
  // As more bytes of the datagram before it, which there was room for.
  void join(packet* p) {
    p->charge = p->length;
    used_ += p->charge;
    packets_.push(p);
  }
  packet* pop() {
    packet* p = packets_.pop();
    if (p != nullptr) used_ -= p->charge;
    return p;
  }
  // What poll does too.
  void set_aside() {
    if (aside_ == 0) aside_ = packets_.size();
  }
  // As Linux reads: it takes all that is there aside, and gives back room for what it has read of that when it has read
  // all, or a quarter of the limit.
  packet* pop_lazily(std::uint32_t limit) {
    set_aside();
    packet* p = packets_.pop();
    if (p == nullptr) return nullptr;
    --aside_;
    read_ += p->charge;
    if (read_ < limit / 4 && aside_ != 0) return p;
    used_ -= read_;
    read_ = 0;
    return p;
  }
  void release_all() {
    packets_.release_all();
    used_ = read_ = 0;
    aside_ = 0;
  }

 private:
  packet_queue packets_;
  std::uint32_t used_ = 0, read_ = 0;  // bytes of what is there; of it what was read, but not given back
  std::size_t aside_ = 0;
};

}  // namespace fastudp
