#pragma once
// Getting hold of a TAP interface, with a sentence for each way in which that fails.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/descriptor.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp::tap {

// How the interface is asked for.
struct wishes {
  std::uint32_t mtu = 0;  // 0: as it is
  std::uint32_t queues = 1;
  bool segmentation = true;  // the kernel may hand over super-packets
};

struct device {
  std::unique_ptr<descriptor[]> queues;  // one frame per read and write, behind a virtio-net header; they never block
  std::uint32_t queue_count = 0;
  mac_address kernel_mac;  // of the kernel's end
  std::uint32_t mtu = 0;
  int index = 0;  // the kernel's number of the interface

  std::span<const descriptor> all() const { return {queues.get(), queue_count}; }
};

// Makes the interface, or attaches to a persistent one that nobody uses, and brings it up. It disappears with the
// descriptors unless it is persistent.
result<device> attach(std::string_view name, const wishes& wanted, reason& why);
// To whoever has a persistent interface next the kernel leaves nothing undone.
void forget_agreement(const device& of);

}  // namespace fastudp::tap
