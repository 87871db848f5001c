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

  // One whole UDP datagram, from its IP header on, that was verified already and is addressed to this host. Who sent it
  // is who its header says; the kernel sees it arrive on loopback. The headers are changed. EOPNOTSUPP: over IPv6 with
  // extension headers, or to a link-local address.
  status give(std::span<std::byte> datagram) const;

 private:
  status give_v4(std::span<std::byte> datagram) const;
  status give_v6(std::span<std::byte> datagram) const;

  descriptor v4_, v6_;
};

}  // namespace fastudp
