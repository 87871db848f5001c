#pragma once
// The kernel's side of a port that is an interface of the kernel's as well, and frames that come of it unfinished.

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/descriptor.h"

namespace fastudp::dpdk {

struct kernel_interface {
  std::uint32_t mtu = 0;  // 0: unknown
  // The sender may be a kernel on this host, which leaves UDP checksums to hardware that isn't there.
  bool is_virtual = false;
};

kernel_interface look_at(int index);

// For as long as the descriptor is open. Drivers set a flag instead, which would stay when the process is killed.
descriptor make_promiscuous(int index);

// Whether a frame's UDP checksum is the pseudo header's sum alone, as such a kernel leaves it.
bool has_partial_checksum(std::span<const std::byte> frame);

}  // namespace fastudp::dpdk
