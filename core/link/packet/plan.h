#pragma once
// What a packet link is made by, so that another end can be made like it.

#include <cstdint>
#include <string_view>

#include "link/link.h"
#include "link/packet/socket.h"
#include "link/steering.h"

namespace fastudp::af_packet {

struct plan {
  interface_facts device;
  link_info info;
  char ring[16] = "v2";
  bool joins = true;  // equal datagrams into super-packets
  const steering* claims = nullptr;

  bool has_rings() const { return std::string_view(ring) != "off"; }
  std::uint32_t longest() const { return info.mtu + longest_link_header; }
};

}  // namespace fastudp::af_packet
