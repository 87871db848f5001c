#pragma once
// The mapped receive ring of a packet socket in blocks (TPACKET_V3): the kernel fills a block with frames of any
// length, and hands it over when it is full or a millisecond old. So it costs less per frame, and a lone frame waits.

#include <linux/if_packet.h>

#include <cstdint>

#include "base/memory.h"
#include "base/reason.h"
#include "base/result.h"
#include "link/packet/ring.h"

namespace fastudp::af_packet {

class block_ring {
 public:
  // Before the socket is bound. A block holds the longest super-packet.
  static result<block_ring> open(int socket, reason& why);

  // The next frame, if there is one; it stays where it is until give_back().
  bool front(received_frame& out);
  void give_back();

 private:
  tpacket_block_desc& block() const;
  tpacket3_hdr& head() const;

  shared_memory memory_;
  std::uint32_t block_ = 0;  // the one that is read
  std::uint32_t left_ = 0;   // its frames that are not given back
  std::uint32_t at_ = 0;     // where the next of them begins
};

}  // namespace fastudp::af_packet
