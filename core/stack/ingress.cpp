#include "stack/ingress.h"

#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/ipv4.h"
#include "wire/udp.h"
#include "wire/vlan.h"

namespace fastudp {
namespace {

// Why an IPv4 header can't be believed; drop::count when it can.
drop defect(const view<ipv4>& header, std::size_t available) {
  if (header.get<&ipv4::version>() != 4) return drop::ip_version;
  const std::size_t total = header.get<&ipv4::total_length>();
  if (total < header.size() || total > available) return drop::ip_total_length;
  if (!verify_checksum(header.header())) return drop::ip_checksum;
  return drop::count;
}

// RFC 1122 3.2.1.3: what no datagram may come from. Our own addresses don't come in by the wire either.
// 0.0.0.0 is a host that has none yet, and may ask everybody.
bool is_impossible_source(const ip_arrival& ip, const local_addresses& addresses) {
  if (ip.source.is_any()) return !ip.destination.is_limited_broadcast();
  return ip.source.is_multicast() || ip.source.is_reserved() || ip.source.is_loopback() ||
         addresses.contains(ip.source) || addresses.is_subnet_broadcast(ip.source);
}

// A local kernel on the other side of a virtual cable leaves the sum to its "hardware": what stands in the field is the
// pseudo header's, not inverted. The link says so where it can.
bool udp_checksum_holds(const packet& p, const ip_arrival& ip, const view<udp>& header,
                        std::span<const std::byte> bytes) {
  if (p.checksum != checksum_state::unknown) return true;
  if (header.get<&udp::checksum>() == 0) return ip.source.is_v4();  // RFC 768: none computed; RFC 8200 8.1: must be
  auto sum = pseudo_header_sum(ip.source, ip.destination, static_cast<std::uint8_t>(ip_protocol::udp),
                               header.get<&udp::length>());
  sum.add(bytes);
  return sum.verifies();
}

// Tags of VID 0 name no VLAN (802.1Q 9.6), and so Linux takes such frames as it does those without. False: there is
// none.
bool remove_priority_tags(packet& frame) {
  bool removed = false;
  for (;;) {
    const auto outer = view<ethernet>::parse(frame.bytes());
    const ether_type type = outer->get<&ethernet::type>();
    if (type != ether_type::vlan && type != ether_type::service_vlan) return removed;
    const auto tag = view<vlan>::parse(outer->payload());
    if (!tag || tag->get<&vlan::vid>() != 0) return removed;
    frame.remove(2 * sizeof(mac_address), fixed_size<vlan>);
    removed = true;
  }
}

}  // namespace

void ingress::discard(packet* p, drop why) {
  if (!is_the_kernels_too(why)) with_.count.dropped(why);
  release(p);
}

// On an interface that is shared, what isn't for a socket of ours is no loss: the kernel has it as well.
bool ingress::is_the_kernels_too(drop why) const {
  if (with_.with_host != sharing::interface) return false;
  return why == drop::not_for_us || why == drop::no_socket || why == drop::unknown_protocol || why == drop::ip_source;
}

void ingress::receive(burst& frames, time_point now) {
  for (packet* frame : frames.packets()) {
    with_.count.rx_frames.add();
    with_.count.rx_bytes.add(frame->length);
    receive_frame(frame, now);
  }
  frames.forget_all();
  deliver(now);
}

void ingress::receive_frame(packet* frame, time_point now) {
  const auto header = view<ethernet>::parse(frame->bytes());
  if (!header) return discard(frame, drop::frame_short);
  const mac_address to = header->get<&ethernet::destination>();
  // What a shared link brings came for this host, whose address there may be another by now.
  const bool is_for_host = to == with_.mac || to.is_group() || with_.with_host == sharing::interface;
  if (!is_for_host) return discard(frame, drop::not_for_us);
  const ether_type type = header->get<&ethernet::type>();
  switch (type) {
    case ether_type::ipv4:
      frame->pull(static_cast<std::uint32_t>(header->size()));
      return receive_ipv4(frame, !to.is_group(), false, now);
    case ether_type::ipv6:
      frame->pull(static_cast<std::uint32_t>(header->size()));
      return receive_ipv6(frame, !to.is_group(), false, now);
    case ether_type::arp:
      if (with_.with_host == sharing::interface) return discard(frame, drop::unknown_protocol);
      return with_.arp.receive(frame, now);
    case ether_type::vlan:
    case ether_type::service_vlan:
      return remove_priority_tags(*frame) ? receive_frame(frame, now) : discard(frame, drop::vlan);
    default:
      return discard(frame, drop::unknown_protocol);
  }
}

void ingress::receive_from_ourselves(packet* datagram, time_point now) {
  if (count_ == arrivals_.size()) deliver(now);
  const bool is_v4 = is_ipv4(*datagram->data());
  is_v4 ? receive_ipv4(datagram, true, true, now) : receive_ipv6(datagram, true, true, now);
}

// Messages about the group itself don't depend on whom its sockets listen to.
bool ingress::is_in_group(const ip_arrival& ip) const {
  if (!ip.destination.is_multicast()) return false;
  return ip.protocol == ip_protocol::udp ? with_.groups.hears(ip.destination, ip.source)
                                         : with_.groups.contains(ip.destination);
}

bool ingress::is_for_us(const ip_arrival& ip, bool local) const {
  const ip_address destination = ip.destination;
  if (with_.addresses.contains(destination) || (local && destination.is_loopback())) return true;
  return destination.is_limited_broadcast() || with_.addresses.is_subnet_broadcast(destination) || is_in_group(ip);
}

void ingress::receive_ipv4(packet* p, bool link_unicast, bool local, time_point now) {
  const auto header = view<ipv4>::parse(p->bytes());
  if (!header) {
    const bool fixed_part_fits = p->length >= ipv4_size;
    return discard(p, fixed_part_fits ? drop::ip_header_length : drop::frame_short);
  }
  if (const drop why = defect(*header, p->length); why != drop::count) return discard(p, why);
  ip_arrival ip{.datagram = p,
                .source = header->get<&ipv4::source>(),
                .destination = header->get<&ipv4::destination>(),
                .tos = tos_of(*header),
                .ttl = header->get<&ipv4::ttl>(),
                .protocol = header->get<&ipv4::protocol>()};
  if (!is_for_us(ip, local)) return discard(p, drop::not_for_us);
  if (!local && is_impossible_source(ip, with_.addresses)) return discard(p, drop::ip_source);
  p->network = p->begin;
  p->length = header->get<&ipv4::total_length>();  // a short frame was padded to Ethernet's minimum
  ip.group = !link_unicast || ip.destination.is_multicast() || ip.destination.is_limited_broadcast() ||
             with_.addresses.is_subnet_broadcast(ip.destination);
  const bool is_fragment =
      header->get<&ipv4::fragment_offset>() != 0 || (header->get<&ipv4::flags>() & ipv4::more_fragments) != 0;
  auto size = static_cast<std::uint32_t>(header->size());
  if (is_fragment) {
    ip.datagram = p = with_.fragments.add(p, now);
    if (p == nullptr) return;
    p->joins = joining::alone;
    const auto whole = *view<ipv4>::parse(p->bytes());
    size = static_cast<std::uint32_t>(whole.size());
    ip.tos = tos_of(whole);
  }
  p->pull(size);
  p->transport = p->begin;
  dispatch(ip, now);
}

void ingress::dispatch(const ip_arrival& ip, time_point now) {
  switch (ip.protocol) {
    case ip_protocol::udp:
      return receive_udp(ip);
    case ip_protocol::icmp:
      return with_.icmp.receive(ip, now);
    case ip_protocol::igmp:
      if (with_.with_host != sharing::none) break;
      return with_.igmp.receive(ip, now);
    default:
      break;
  }
  // RFC 1122 3.2.2.1
  if (!ip.group && with_.with_host != sharing::interface) {
    with_.icmp.send_error(icmpv4_type::unreachable, static_cast<std::uint8_t>(icmpv4_unreachable_code::protocol),
                          *ip.datagram, now);
  }
  discard(ip.datagram, drop::unknown_protocol);
}

void ingress::receive_udp(const ip_arrival& ip) {
  packet* p = ip.datagram;
  const auto header = view<udp>::parse(p->bytes());
  if (!header) return discard(p, drop::udp_length);
  const std::uint16_t length = header->get<&udp::length>();
  if (length < udp_size || length > p->length) return discard(p, drop::udp_length);
  p->length = length;
  if (!udp_checksum_holds(*p, ip, *header, p->bytes())) return discard(p, drop::udp_checksum);
  arrivals_[count_++] = {
      .datagram = p,
      .where = {{ip.destination, header->get<&udp::destination_port>()}, {ip.source, header->get<&udp::source_port>()}},
      .group = ip.destination.is_multicast() || ip.destination.is_limited_broadcast() ||
               with_.addresses.is_subnet_broadcast(ip.destination),
      .answerable = !ip.group};
  p->pull(udp_size);
}

void ingress::deliver(time_point now) {
  if (count_ == 0) return;
  const std::span<arrival> arrivals(arrivals_.data(), count_);
  count_ = 0;
  with_.sink.deliver(arrivals, now);
  for (arrival& left : arrivals) {
    if (left.taken) continue;
    if (left.answerable && with_.with_host == sharing::none) tell_no_socket(left, now);
    discard(left.datagram, drop::no_socket);
  }
}

void ingress::tell_no_socket(const arrival& left, time_point now) {
  if (left.where.local.address.is_v4()) {
    with_.icmp.send_error(icmpv4_type::unreachable, static_cast<std::uint8_t>(icmpv4_unreachable_code::port),
                          *left.datagram, now);
  } else {
    with_.icmpv6.send_error(icmpv6_type::unreachable, static_cast<std::uint8_t>(icmpv6_unreachable_code::port), 0,
                            *left.datagram, now);
  }
}

void ingress::timed_out(packet* first_fragment, time_point now) {
  constexpr std::uint8_t reassembly_time = 1;
  if (with_.with_host != sharing::none) return;  // the kernel has reported it
  if (is_ipv4(*first_fragment->data())) {
    with_.icmp.send_error(icmpv4_type::time_exceeded, reassembly_time, *first_fragment, now);
  } else {
    with_.icmpv6.send_error(icmpv6_type::time_exceeded, reassembly_time, 0, *first_fragment, now);
  }
}

}  // namespace fastudp
