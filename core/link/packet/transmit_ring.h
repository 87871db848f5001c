#pragma once
// The mapped transmit ring: frames are put into slots, and one call sends all of them. It has a socket of its own,
// since one that has such a ring sends nothing in any other way.

#include <linux/if_packet.h>

#include <cstdint>
#include <span>

#include "base/descriptor.h"
#include "base/memory.h"
#include "link/packet/socket.h"
#include "packet/packet.h"

namespace fastudp::af_packet {

class transmit_ring {
 public:
  // On a socket of its own (open_to_send). Frames of `frame` bytes fit into a slot.
  static result<transmit_ring> open(descriptor&& socket, std::uint32_t frame, reason& why);

  // Sends a prefix of the frames, and says what is the matter with the one behind it. Waits for nobody.
  struct progress {
    std::size_t sent = 0;
    bool is_refused = false;  // the kernel doesn't take this frame; it may take the next
    int problem = 0;          // 0: the ring is full
  };
  progress send(std::span<packet* const> frames);

 private:
  tpacket2_hdr& slot(std::size_t ahead) const;
  std::size_t put(std::span<packet* const> frames);

  descriptor socket_;
  shared_memory memory_;
  std::uint32_t slot_size_ = 0;
  std::uint32_t next_ = 0;  // where the kernel looks for the next frame; nothing waits there between calls
};

}  // namespace fastudp::af_packet
