#pragma once
// What the header of an IP packet says of itself that a program may ask for in control messages.

#include <cstdint>

#include "base/address.h"
#include "wire/ipv4.h"

namespace fastudp {

struct ip_facts {
  ipv4_address destination;
  std::uint8_t ttl = 0, tos = 0;
};

inline std::uint8_t tos_of(const view<ipv4>& header) {
  return static_cast<std::uint8_t>(header.get<&ipv4::dscp>() << 2 | header.get<&ipv4::ecn>());
}

inline ip_facts facts_of(const view<ipv4>& header) {
  return {header.get<&ipv4::destination>(), header.get<&ipv4::ttl>(), tos_of(header)};
}

// RFC 1812 4.3.2.5: an ICMP error has the precedence of internetwork control, and the type of service of what it is
// about; which bits those are is Linux's choice.
inline std::uint8_t tos_of_error(const view<ipv4>& about) {
  constexpr std::uint8_t internetwork_control = 0xc0, type_of_service = 0x1e;
  return static_cast<std::uint8_t>((tos_of(about) & type_of_service) | internetwork_control);
}

}  // namespace fastudp
