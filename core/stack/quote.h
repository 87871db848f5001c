#pragma once
// Whose datagram is quoted: ICMP errors carry the start of what they are about.

#include <cstddef>
#include <span>

#include "stack/flow.h"
#include "stack/ipv6_chain.h"
#include "wire/ipv4.h"
#include "wire/udp.h"

namespace fastudp {

// A UDP datagram of ours, from our point of view; `payload` has no data when it isn't one, or isn't its beginning.
struct quoted_datagram {
  flow about;
  std::span<const std::byte> payload{};
};

inline quoted_datagram read_udp(const ip_address& source, const ip_address& destination,
                                std::span<const std::byte> transport) {
  const auto header = view<udp>::parse(transport);
  if (!header) return {};
  return {.about = {{source, header->get<&udp::source_port>()}, {destination, header->get<&udp::destination_port>()}},
          .payload = header->payload()};
}

// What the quote of an IPv6 packet shows of this protocol, behind the extension headers; no data when it is of another,
// or a later fragment.
inline std::span<const std::byte> quoted_in_ipv6(std::span<const std::byte> bytes, ip_protocol protocol) {
  ipv6_chain chain = walk(bytes);
  if (chain.how == ipv6_chain::end::fragment) {
    const auto fragment = view<ipv6_fragment>::parse(bytes.subspan(chain.offset));
    if (!fragment || (fragment->get<&ipv6_fragment::place>() & ipv6_fragment::offset_bits) != 0) return {};
    chain = walk(bytes, behind(chain, fragment->get<&ipv6_fragment::next_header>()));
  }
  if (chain.how != ipv6_chain::end::upper || chain.protocol != protocol || chain.offset > bytes.size()) return {};
  return bytes.subspan(chain.offset);
}

// `bytes` begins with an IP header, and may be cut anywhere behind it.
inline quoted_datagram quote_of(std::span<const std::byte> bytes) {
  if (bytes.empty()) return {};
  if (is_ipv4(bytes[0])) {
    const auto ip = view<ipv4>::parse(bytes);
    if (!ip || ip->get<&ipv4::protocol>() != ip_protocol::udp || ip->get<&ipv4::fragment_offset>() != 0) return {};
    return read_udp(ip->get<&ipv4::source>(), ip->get<&ipv4::destination>(), ip->payload());
  }
  const auto ip = view<ipv6>::parse(bytes);
  if (!ip || ipv6::version_of(ip->get<&ipv6::first>()) != 6) return {};
  const ip_address source = ip->get<&ipv6::source>(), destination = ip->get<&ipv6::destination>();
  if (source.is_v4() || destination.is_v4()) return {};  // IPv4-mapped: nobody sends that
  return read_udp(source, destination, quoted_in_ipv6(bytes, ip_protocol::udp));
}

}  // namespace fastudp
