#pragma once
// What the header of an IP packet says of itself that others want to know of a packet that was verified.

#include <cstdint>

#include "base/address.h"
#include "packet/packet.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

namespace fastudp {

struct ip_facts {
  ip_address source, destination;
  std::uint8_t ttl = 0, tos = 0;  // IPv6: hop limit, traffic class
};

inline std::uint8_t tos_of(const view<ipv4>& header) {
  return static_cast<std::uint8_t>(header.get<&ipv4::dscp>() << 2 | header.get<&ipv4::ecn>());
}

inline ip_facts facts_of(const view<ipv4>& header) {
  return {header.get<&ipv4::source>(), header.get<&ipv4::destination>(), header.get<&ipv4::ttl>(), tos_of(header)};
}

inline ip_facts facts_of(const view<ipv6>& header) {
  return {header.get<&ipv6::source>(), header.get<&ipv6::destination>(), header.get<&ipv6::hop_limit>(),
          ipv6::traffic_class_of(header.get<&ipv6::first>())};
}

// Of a packet whose IP header has been verified.
inline ip_facts facts_of(const packet& verified) {
  const std::span<const std::byte> header(verified.frame + verified.network, verified.transport - verified.network);
  const bool is_v4 = is_ipv4(header[0]);
  return is_v4 ? facts_of(*view<ipv4>::parse(header)) : facts_of(*view<ipv6>::parse(header));
}

// RFC 1812 4.3.2.5: an ICMP error has the precedence of internetwork control, and the type of service of what it is
// about; which bits those are is Linux's choice.
inline std::uint8_t tos_of_error(const view<ipv4>& about) {
  constexpr std::uint8_t internetwork_control = 0xc0, type_of_service = 0x1e;
  return static_cast<std::uint8_t>((tos_of(about) & type_of_service) | internetwork_control);
}

}  // namespace fastudp
