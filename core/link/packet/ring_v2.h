#pragma once
// The mapped receive ring in version 2: slots of one size, which the kernel fills in order and we give back in order.
// What doesn't fit into a slot comes by the socket's queue, in the same order.

#include <cstdint>

#include "base/memory.h"
#include "link/packet/socket_queue.h"

namespace fastudp::af_packet {

class ring_v2 {
 public:
  // Before the socket is bound. Frames of `frame` bytes fit into a slot, of which there are `slots`.
  static result<ring_v2> open(int socket, std::uint32_t frame, std::uint32_t slots, reason& why);

  bool next(received_frame& out);
  void give_back();
  bool is_empty() const;

 private:
  tpacket2_hdr& slot() const {
    return *reinterpret_cast<tpacket2_hdr*>(memory_.data() + std::size_t{next_} * slot_size_);
  }

  shared_memory memory_;
  socket_queue longer_;
  std::uint32_t slot_size_ = 0, slots_ = 0, next_ = 0;
};

}  // namespace fastudp::af_packet
