#pragma once
// The tag of IEEE 802.1Q: what follows an Ethernet header of type ether_type::vlan.

#include "wire/ethernet.h"

namespace fastudp {

struct vlan {
  u<3> pcp = 0;
  u<1> dei = 0;
  u<12> vid = 0;
  as<ether_type, 16> type = {};

  friend bool operator==(const vlan&, const vlan&) = default;
};

}  // namespace fastudp
