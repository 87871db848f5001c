// The way in for IPv6: header, extension headers, fragments.

#include <algorithm>

#include "stack/ingress.h"
#include "wire/icmpv6.h"
#include "wire/ipv6.h"

namespace fastudp {
namespace {

// RFC 4291 2.5.3 and 2.7: what no packet may come from; our own addresses don't come in by the wire, unless another
// host has one and says so (RFC 4862 5.4.4). An IPv4-mapped address means IPv4 to a socket, and must not come in by
// IPv6 (RFC 4942 2.2). The any address is for those who look for an address of their own (RFC 4862), and so for ICMP
// alone.
bool is_impossible_source(const ip_address& source, ip_protocol protocol, const local_addresses& addresses) {
  if (source.is_any() && !source.is_v4()) return protocol != ip_protocol::icmpv6;
  const bool is_ours = protocol != ip_protocol::icmpv6 && addresses.contains(source);
  return source.is_v4() || source.is_multicast() || source.is_loopback() || is_ours;
}

// How much of an upper-layer header has to be there to be one, as Linux sees it.
std::uint32_t least_of(ip_protocol upper) {
  constexpr std::uint32_t tcp_header = 20;
  if (upper == ip_protocol::udp) return udp_size;
  if (upper == ip_protocol::icmpv6) return fixed_size<icmpv6>;
  return upper == ip_protocol::tcp ? tcp_header : 1;
}

// Whether the chain, or what it ends at, goes on behind the packet.
bool is_cut_short(std::span<const std::byte> packet, const ipv6_chain& at) {
  if (at.how == ipv6_chain::end::upper) return at.offset + least_of(at.protocol) > packet.size();
  if (at.how != ipv6_chain::end::nothing || at.protocol == ip_protocol::no_next_header) return false;
  const auto header = view<ipv6_extension>::parse(packet.subspan(std::min<std::size_t>(at.offset, packet.size())));
  return !header || at.offset + (header->get<&ipv6_extension::length>() + 1u) * 8 > packet.size();
}

}  // namespace

// Whom the sockets of a group listen to is known only when the chain of headers was walked. An IPv4-mapped address
// would be one of IPv4's, which nobody reaches by IPv6.
bool ingress::is_for_us_v6(const ip_arrival& ip, bool local) const {
  if (ip.destination.is_v4()) return false;
  if (with_.addresses.contains(ip.destination) || (local && ip.destination.is_loopback())) return true;
  return ip.destination.is_multicast() && with_.groups.contains(ip.destination);
}

void ingress::receive_ipv6(packet* p, bool link_unicast, bool local, time_point now) {
  const auto header = view<ipv6>::parse(p->bytes());
  if (!header) return discard(p, drop::frame_short);
  if (ipv6::version_of(header->get<&ipv6::first>()) != 6) return discard(p, drop::ip_version);
  const std::uint32_t total = ipv6_size + header->get<&ipv6::payload_length>();
  if (total > p->length) return discard(p, drop::ip_total_length);
  const ip_facts facts = facts_of(*header);
  ip_arrival ip{.datagram = p,
                .source = facts.source,
                .destination = facts.destination,
                .tos = facts.tos,
                .ttl = facts.ttl,
                .group = !link_unicast || facts.destination.is_multicast()};
  if (!is_for_us_v6(ip, local)) return discard(p, drop::not_for_us);
  if (!local && is_impossible_source(ip.source, header->get<&ipv6::next_header>(), with_.addresses)) {
    return discard(p, drop::ip_source);
  }
  p->network = p->begin;
  p->length = total;
  follow_chain(ip, walk(p->bytes()), now);
}

void ingress::follow_chain(ip_arrival& ip, const ipv6_chain& chain, time_point now) {
  packet* p = ip.datagram;
  switch (chain.how) {
    case ipv6_chain::end::fragment:
      return receive_ipv6_fragment(ip, chain, now);
    case ipv6_chain::end::problem:
      if (!ip.group || chain.tell_if_group) {
        refuse_ipv6(ip, static_cast<icmpv6_problem_code>(chain.code), chain.pointer, now);
      }
      return discard(p, drop::ip_extension);
    case ipv6_chain::end::option:
    case ipv6_chain::end::nothing:
      return discard(p, drop::ip_extension);
    case ipv6_chain::end::upper:
      break;
  }
  if (chain.offset > p->length) return discard(p, drop::ip_extension);
  p->pull(chain.offset);
  p->transport = p->begin;
  ip.protocol = chain.protocol;
  if (ip.protocol == ip_protocol::udp) {
    if (ip.destination.is_multicast() && !is_in_group(ip)) return discard(p, drop::not_for_us);
    return receive_udp(ip);
  }
  if (ip.protocol == ip_protocol::icmpv6) return with_.icmpv6.receive(ip, now);
  if (!ip.group) refuse_ipv6(ip, icmpv6_problem_code::next_header, chain.named_at, now);
  discard(p, drop::unknown_protocol);
}

void ingress::refuse_ipv6(const ip_arrival& ip, icmpv6_problem_code code, std::uint32_t pointer, time_point now) {
  if (with_.with_host == sharing::interface) return;  // the kernel says so
  with_.icmpv6.send_error(icmpv6_type::parameter_problem, static_cast<std::uint8_t>(code), pointer, *ip.datagram, now);
}

// RFC 8200 4.5
void ingress::receive_ipv6_fragment(ip_arrival& ip, const ipv6_chain& chain, time_point now) {
  constexpr std::uint32_t payload_length_at = 4, offset_at = 2, longest_payload = 65'535;
  packet* p = ip.datagram;
  const auto header = view<ipv6_fragment>::parse(p->bytes().subspan(chain.offset));
  if (!header) return discard(p, drop::ip_extension);
  const ipv6_chain rest = behind(chain, header->get<&ipv6_fragment::next_header>());
  const std::uint16_t place = header->get<&ipv6_fragment::place>();
  const std::uint32_t begin = place & ipv6_fragment::offset_bits;
  const bool more = (place & ipv6_fragment::more) != 0;
  ip.was_cut = true;
  if (begin == 0 && !more) {  // whole in one piece (RFC 6946)
    return follow_chain(ip, walk(p->bytes(), rest), now);
  }
  const auto size = static_cast<std::uint32_t>(header->payload().size());
  if (more && size % 8 != 0) {
    refuse_ipv6(ip, icmpv6_problem_code::header_field, payload_length_at, now);
    return discard(p, drop::fragment);
  }
  if (chain.offset - ipv6_size + begin + size > longest_payload) {
    refuse_ipv6(ip, icmpv6_problem_code::header_field, chain.offset + offset_at, now);
    return discard(p, drop::fragment);
  }
  if (begin == 0 && is_cut_short(p->bytes(), walk(p->bytes(), rest))) {
    refuse_ipv6(ip, icmpv6_problem_code::cut_headers, 0, now);
    return discard(p, drop::fragment);
  }
  ip.datagram = p = with_.fragments.add(p, chain, now);
  if (p == nullptr) return;
  p->joins = joining::alone;
  ip.tos = facts_of(*view<ipv6>::parse(p->bytes())).tos;
  follow_chain(ip, walk(p->bytes()), now);
}

}  // namespace fastudp
