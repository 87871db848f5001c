#pragma once
// Sockets that share an address and a port by SO_REUSEPORT, in Linux's order: as they were bound, where the last one
// takes the place of one that leaves. A program may choose among them.

#include <cstdint>

#include "socket/packet_filter.h"

namespace fastudp {

struct port_group {
  packet_filter program;  // empty: the conversation's hash chooses
  std::uint32_t size = 0;
};

// Runs a group's program on the datagram at hand.
class group_chooser {
 public:
  virtual std::uint32_t choose(const packet_filter& program) const = 0;

 protected:
  ~group_chooser() = default;
};

}  // namespace fastudp
