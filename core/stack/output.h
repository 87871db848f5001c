#pragma once
// How the protocols of the stack send: they take an empty frame, fill it, and give it to the link's transmit burst.

#include "packet/packet.h"

namespace fastudp {

class frame_output {
 public:
  // An empty packet with headroom, large enough for the link's MTU; null when none is free.
  virtual packet* take_frame() = 0;
  // A whole frame, Ethernet header first. Takes ownership; order is kept.
  virtual void transmit(packet* frame) = 0;

 protected:
  ~frame_output() = default;
};

}  // namespace fastudp
