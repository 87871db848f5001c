#pragma once
// The mapped receive ring in version 3: the kernel packs frames of any length into blocks and hands over whole blocks,
// a full one at once and any other a millisecond after its first frame. Fewer wake-ups, for frames that come later.

#include <cstdint>

#include "base/memory.h"
#include "base/reason.h"
#include "base/result.h"
#include "link/packet/frame.h"

namespace fastudp::af_packet {

class ring_v3 {
 public:
  // Before the socket is bound.
  static result<ring_v3> open(int socket, reason& why);

  bool next(received_frame& out);
  void give_back();
  bool is_empty() const;

 private:
  tpacket_hdr_v1& block() const;
  const tpacket3_hdr& head() const;
  bool begin_block();
  void end_block();

  shared_memory memory_;
  std::uint32_t block_ = 0;          // that is read now, or next
  std::uint32_t left_ = 0, at_ = 0;  // frames that it still has, and where the first of them is
};

}  // namespace fastudp::af_packet
