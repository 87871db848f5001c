#pragma once
// What the driver of an interface says of it.

#include <cstdint>

#include "link/packet/socket.h"

namespace fastudp::xdp {

struct driver_facts {
  char name[32] = {};        // as ethtool -i says; empty: it doesn't
  bool is_software = true;   // there is no device on any bus behind it
  std::uint32_t queues = 1;  // that it receives by

  // It leads to hosts on this machine as well. Such a kernel leaves checksums, and the cutting up of super-packets, to
  // its "hardware", and AF_XDP doesn't say so.
  bool leads_to_local_kernels() const;
};

driver_facts ask_driver(const af_packet::interface_facts& device);

}  // namespace fastudp::xdp
