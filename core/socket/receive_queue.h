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
  bool push(packet* p, std::uint32_t limit) {
    const std::uint32_t charge = truesize(p->length);
    if (used_ + charge > limit && used_ != 0) return false;
    p->charge = charge;
    used_ += charge;
    packets_.push(p);
    return true;
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
  void release_all() {
    packets_.release_all();
    used_ = 0;
  }

 private:
  packet_queue packets_;
  std::uint32_t used_ = 0;
};

}  // namespace fastudp
