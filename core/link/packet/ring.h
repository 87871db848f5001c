#pragma once
// The mapped receive ring of a packet socket (TPACKET_V2): the kernel fills slots in order, we give them back in order.

#include <linux/if_packet.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/memory.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp::af_packet {

// What the kernel says of one frame.
struct received_frame {
  std::span<const std::byte> header;  // virtio_net_hdr
  std::span<const std::byte> bytes;   // what fits into the slot
  std::uint32_t length = 0;           // of the whole frame
  std::uint32_t status = 0;           // TP_STATUS_*
  std::uint16_t vlan_tci = 0, vlan_tpid = 0;
};

class ring {
 public:
  ring() = default;
  // Before the socket is bound. `frame` bytes fit into a slot, of which there are `slots`.
  static result<ring> open(int socket, std::uint32_t frame, std::uint32_t slots, reason& why);

  // The next frame, if there is one; it stays where it is until give_back().
  bool front(received_frame& out) const;
  void give_back();

 private:
  tpacket2_hdr& slot() const {
    return *reinterpret_cast<tpacket2_hdr*>(memory_.data() + std::size_t{next_} * slot_size_);
  }

  shared_memory memory_;
  std::uint32_t slot_size_ = 0, slots_ = 0, next_ = 0;
};

}  // namespace fastudp::af_packet
