#pragma once
// Getting hold of a TAP interface, with a sentence for each way in which that fails.

#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/descriptor.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp::tap {

struct device {
  descriptor file;         // one frame per read and write, behind a virtio-net header; never blocks
  mac_address kernel_mac;  // of the kernel's end
  std::uint32_t mtu = 0;
  int index = 0;  // the kernel's number of the interface
};

// Makes the interface, or attaches to a persistent one that nobody uses, and brings it up. `mtu` 0 leaves its MTU
// alone. It disappears with the descriptor unless it is persistent.
result<device> attach(std::string_view name, std::uint32_t mtu, reason& why);

}  // namespace fastudp::tap
