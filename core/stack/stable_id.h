#pragma once
// Interface identifiers that are the same for a host in one network, and others in another (RFC 7217): who sees them
// learns neither the MAC address nor that two of them belong to one host.

#include <cstdint>

#include "base/address.h"
#include "base/sip_hash.h"

namespace fastudp {

struct stable_id_source {
  mac_address mac;
  sip_key secret;
};

// In the prefix's first 64 bits. `attempt` counts those of its addresses that other hosts were found to have.
ip_address stable_address(const ip_address& prefix, const stable_id_source& source, std::uint8_t attempt);

// RFC 5453: what no host may choose.
bool is_reserved_interface_id(std::uint64_t id);

}  // namespace fastudp
