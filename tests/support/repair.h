#pragma once
// Gives a frame that was altered its checksums back, so that a test reaches what lies behind them.

#include <algorithm>
#include <cstddef>
#include <span>

#include "stack/ipv6_chain.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/icmpv4.h"
#include "wire/icmpv6.h"
#include "wire/igmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/udp.h"

namespace fastudp::test {

// The transport checksum of a datagram that may be a fragment, an error about itself, anything.
inline void repair_udp(std::span<std::byte> payload, const ip_address& source, const ip_address& destination) {
  const auto header = mutable_view<udp>::parse(payload);
  if (!header) return;
  header->set<&udp::checksum>(0);
  auto sum =
      pseudo_header_sum(source, destination, static_cast<std::uint8_t>(ip_protocol::udp), header->get<&udp::length>());
  sum.add(payload.first(std::min<std::size_t>(payload.size(), header->get<&udp::length>())));
  header->set<&udp::checksum>(as_udp_checksum(sum.finish()));
}

inline void repair_transport(std::span<std::byte> payload, const mutable_view<ipv4>& ip) {
  if (ip.get<&ipv4::protocol>() == ip_protocol::udp) {
    repair_udp(payload, ip.get<&ipv4::source>(), ip.get<&ipv4::destination>());
  } else if (ip.get<&ipv4::protocol>() == ip_protocol::igmp) {
    const auto header = mutable_view<igmp>::parse(payload);
    if (!header) return;
    header->set<&igmp::checksum>(0);
    header->set<&igmp::checksum>(checksum(payload));
  } else if (const auto header = mutable_view<icmpv4>::parse(payload)) {
    header->set<&icmpv4::checksum>(0);
    header->set<&icmpv4::checksum>(checksum(payload));
  }
}

// Behind extension headers too.
inline void repair_ipv6(std::span<std::byte> packet) {
  const auto ip = mutable_view<ipv6>::parse(packet);
  if (!ip) return;
  ip->set<&ipv6::first>(ip->get<&ipv6::first>() % (1u << 28) | 6u << 28);
  const std::size_t available = ip->payload().size();
  if (ip->get<&ipv6::payload_length>() > available) ip->set<&ipv6::payload_length>(u<16>::masked(available));
  const auto whole = packet.first(fixed_size<ipv6> + ip->get<&ipv6::payload_length>());
  const ipv6_chain chain = walk(whole);
  if (chain.how != ipv6_chain::end::upper || chain.offset > whole.size()) return;
  const auto payload = whole.subspan(chain.offset);
  const ip_address source = ip->get<&ipv6::source>(), destination = ip->get<&ipv6::destination>();
  if (chain.protocol == ip_protocol::udp) return repair_udp(payload, source, destination);
  const auto header = mutable_view<icmpv6>::parse(payload);
  if (chain.protocol != ip_protocol::icmpv6 || !header) return;
  header->set<&icmpv6::checksum>(0);
  auto sum = pseudo_header_sum(source, destination, static_cast<std::uint8_t>(ip_protocol::icmpv6),
                               static_cast<std::uint16_t>(payload.size()));
  sum.add(payload);
  header->set<&icmpv6::checksum>(sum.finish());
}

// Makes a frame plausible: its lengths are within it, its checksums hold. What is no frame, or of a protocol that has
// no checksum, is left alone.
inline void repair(std::span<std::byte> frame) {
  const auto outer = mutable_view<ethernet>::parse(frame);
  if (!outer) return;
  if (outer->get<&ethernet::type>() == ether_type::ipv6) return repair_ipv6(outer->payload());
  if (outer->get<&ethernet::type>() != ether_type::ipv4) return;
  const auto ip = mutable_view<ipv4>::parse(outer->payload());
  if (!ip) return;
  ip->set<&ipv4::version>(4);
  const std::size_t available = outer->payload().size();
  if (ip->get<&ipv4::total_length>() < ip->size() || ip->get<&ipv4::total_length>() > available) {
    ip->set<&ipv4::total_length>(u<16>::masked(available));
  }
  const std::size_t total = ip->get<&ipv4::total_length>();
  repair_transport(outer->payload().subspan(ip->size(), total - ip->size()), *ip);
  ip->set<&ipv4::checksum>(0);
  ip->set<&ipv4::checksum>(checksum(ip->header()));
}

}  // namespace fastudp::test
