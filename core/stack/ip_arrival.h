#pragma once
// What ingress knows of an IP packet whose headers it has verified.

#include <cstdint>

#include "base/address.h"
#include "packet/packet.h"
#include "wire/ipv4.h"

namespace fastudp {

// The packet begins behind the IP headers; its `network` and `transport` are set.
struct ip_arrival {
  packet* datagram;
  ip_address source, destination;
  std::uint8_t tos = 0;
  std::uint8_t ttl = 0;
  ip_protocol protocol{};
  bool was_cut = false;  // had a fragment header, be it the only piece
  bool group = false;    // sent to a broadcast or multicast address, of IP or of the link
};

}  // namespace fastudp
