#pragma once
// Ethernet II frames (RFC 894). The frame check sequence is the device's.

#include "wire/schema.h"

namespace fastudp {

enum class ether_type : std::uint16_t {
  ipv4 = 0x0800,
  arp = 0x0806,
  vlan = 0x8100,
  ipv6 = 0x86dd,
  service_vlan = 0x88a8,  // 802.1ad
};

struct ethernet {
  mac_address destination = {};
  mac_address source = {};
  as<ether_type, 16> type = {};

  friend bool operator==(const ethernet&, const ethernet&) = default;
};

}  // namespace fastudp
