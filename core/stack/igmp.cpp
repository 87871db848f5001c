#include "stack/igmp.h"

#include "wire/checksum.h"

namespace fastudp {
namespace {

// RFC 3376 4, RFC 2236 2 and 9: one hop, internetwork control, with the router alert option.
constexpr ip_address all_routers{ipv4_address{{224, 0, 0, 2}}};
constexpr std::uint8_t one_hop = 1;
constexpr duration v1_delay = 10 * second;

ipv4 header_to(const ip_address& from, const ip_address& to) {
  ipv4 out{.ihl = 6, .dscp = 0x30, .flags = ipv4::dont_fragment, .ttl = one_hop, .protocol = ip_protocol::igmp};
  out.source = from.ipv4();
  out.destination = to.ipv4();
  out.options.content = {std::byte{0x94}, std::byte{4}};
  return out;
}

}  // namespace

group_query igmp_layouts::read_older(const view<igmp>& query) {
  const std::uint8_t delay = query.get<&igmp::max_response>();
  return {.version = delay == 0 ? group_query::dialect::reports : group_query::dialect::leaves,
          .group = query.get<&igmp::group>(),
          .most_delay = delay == 0 ? v1_delay : delay * unit};
}

// What has been routed here isn't for this link.
drop igmp_host::hear(const ip_arrival& message, time_point now) {
  const auto header = view<igmp>::parse(message.datagram->bytes());
  if (!header || !verify_checksum(message.datagram->bytes())) return drop::group_message;
  if (message.ttl != one_hop) return drop::group_message;
  switch (header->get<&igmp::type>().value()) {
    case igmp_type::query:
      return hear_query(message, now);
    case igmp_type::report_v1:
    case igmp_type::report_v2:
      return hear_report(header->get<&igmp::group>(), now);
    default:
      return drop::count;  // for routers
  }
}

void igmp_host::write_headers(packet& frame, const ip_address& to) const {
  const auto outer =
      *store(ethernet{.destination = group_mac(to), .source = with_.mac, .type = ether_type::ipv4}, frame.bytes());
  store(header_to(with_.addresses.source_for(to, to), to), outer.payload());
}

// Both checksums, and the length, of what is complete otherwise.
void igmp_host::send(packet* frame) {
  const auto ip = *mutable_view<ipv4>::parse(frame->bytes().subspan(fixed_size<ethernet>));
  ip.set<&ipv4::total_length>(u<16>::masked(frame->length - fixed_size<ethernet>));
  ip.set<&ipv4::checksum>(checksum(ip.header()));
  mutable_view<igmp>::parse(ip.payload())->set<&igmp::checksum>(checksum(ip.payload()));
  with_.out.transmit(frame);
}

void igmp_host::report(const ip_address& group, group_query::dialect version) {
  const auto type = version == group_query::dialect::reports ? igmp_type::report_v1 : igmp_type::report_v2;
  send_older({.type = as<igmp_type, 8>(type), .group = group.ipv4()}, group);
}

void igmp_host::leave(const ip_address& group) {
  send_older({.type = igmp_type::leave, .group = group.ipv4()}, all_routers);
}

}  // namespace fastudp
