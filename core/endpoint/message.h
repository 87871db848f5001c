#pragma once
// What passes between a program and an endpoint: datagrams, their flags, and what is ready.

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.h"
#include "packet/packet.h"

namespace fastudp {

// Linux's numbers, so that they pass through unchanged.
namespace message_flag {
inline constexpr int out_of_band = 0x1, dont_route = 0x4, probe = 0x10;
inline constexpr int peek = 0x2, control_truncated = 0x8, truncated = 0x20, dont_wait = 0x40, confirm = 0x800,
                     error_queue = 0x2000, no_signal = 0x4000, more = 0x8000, wait_for_one = 0x10000,
                     zero_copy = 0x4000000;
// Ours: the rest of a burst, of which something has been received. A pending error is then left for the next call.
inline constexpr int continued = 1 << 30;
}  // namespace message_flag
namespace ready {
inline constexpr int readable = 0x1, priority = 0x2, writable = 0x4, error = 0x8, hang_up = 0x10;
// Not there, but asked for: only what has come after an arrival that is known.
inline constexpr int edge = 0x4000;
}  // namespace ready

// One datagram on its way from or to a program.
struct message {
  std::span<std::byte> data;  // room, or the payload
  std::uint32_t length = 0;   // received: the whole datagram's
  endpoint_address peer;
  bool has_peer = false;         // to send: `peer` is the destination; received: there is one, as with every datagram
  std::span<std::byte> control;  // control messages, or room for them
  int flags = 0;
  packet* frame = nullptr;  // borrowed
};

}  // namespace fastudp
