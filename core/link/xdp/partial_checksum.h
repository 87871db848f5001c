#pragma once
// Which datagrams have no checksum yet, where neither the bytes nor the device say so.

#include <cstddef>
#include <span>

namespace fastudp::xdp {

// A frame with a UDP datagram whose checksum field has the sum of the pseudo header alone, as a kernel leaves it to its
// "hardware". Of those that were computed one in 65536 looks like this as well.
bool has_partial_checksum(std::span<const std::byte> frame);

}  // namespace fastudp::xdp
