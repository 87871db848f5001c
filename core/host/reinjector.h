#pragma once
// Gives datagrams that the fast path took back to the host's kernel, as if they had just arrived: for a reader that the
// fast path can't reach.

#include <cstddef>
#include <span>

#include "base/descriptor.h"
#include "base/result.h"

namespace fastudp {

class reinjector {
 public:
  // EPERM: without CAP_NET_RAW, which is needed now and not later.
  static result<reinjector> open();

  // One whole UDP datagram, from its IPv4 header on, that was verified already and is addressed to this host. Who sent
  // it is who its header says; the kernel sees it arrive on loopback. The headers are changed.
  status give(std::span<std::byte> datagram) const;

 private:
  descriptor socket_;
};

}  // namespace fastudp
