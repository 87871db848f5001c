#pragma once
// What the driver of an interface says of it.

#include <cstdint>

#include "link/packet/socket.h"

namespace fastudp::xdp {

struct driver_facts {
  char name[32] = {};        // as ethtool -i says; empty: it doesn't
  std::uint32_t queues = 1;  // that it receives by

  // Between hosts on one machine. Such a kernel peer leaves checksums to its "hardware", and AF_XDP doesn't say so.
  bool may_leave_checksums_out() const;
  // It has no memory of its own that a copy could be saved from.
  bool is_software() const;
};

driver_facts ask_driver(const af_packet::interface_facts& device);

}  // namespace fastudp::xdp
