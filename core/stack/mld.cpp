#include "stack/mld.h"

#include <algorithm>
#include <array>

#include "wire/checksum.h"

namespace fastudp {
namespace {

constexpr std::uint8_t one_hop = 1;
// RFC 3810 5: a hop-by-hop header with the router alert option (RFC 2711) of MLD, filled up to eight bytes.
constexpr std::array<std::uint8_t, 8> alert{static_cast<std::uint8_t>(ip_protocol::icmpv6), 0, 5, 2, 0, 0, 1, 0};
constexpr std::uint32_t ip_at = fixed_size<ethernet>, alert_at = ip_at + fixed_size<ipv6>;

// RFC 3810 5.1.14 and 6.2: what has been routed here, or isn't marked as MLD's, isn't for this link.
bool is_from_here(const ip_arrival& message) {
  if (message.ttl != one_hop || !message.source.is_link_local()) return false;
  const packet& p = *message.datagram;
  const std::span<const std::byte> between(p.frame + p.network + fixed_size<ipv6>, p.frame + p.transport);
  const auto option = std::as_bytes(std::span(alert)).subspan(2, 4);
  return std::search(between.begin(), between.end(), option.begin(), option.end()) != between.end();
}

}  // namespace

group_query mld_layouts::read_older(const view<mld>& query) {
  return {.version = group_query::dialect::leaves,
          .group = query.get<&mld::group>(),
          .most_delay = query.get<&mld::max_response>() * unit};
}

drop mld_host::hear(const ip_arrival& message, time_point now) {
  const auto header = view<mld>::parse(message.datagram->bytes());
  if (!header || !is_from_here(message)) return drop::group_message;
  switch (header->get<&mld::type>().value()) {
    case icmpv6_type::listener_query:
      return hear_query(message, now);
    case icmpv6_type::listener_report:
      return hear_report(header->get<&mld::group>(), now);
    default:
      return drop::count;  // for routers
  }
}

// RFC 3590: from a link-local address, or from none.
void mld_host::write_headers(packet& frame, const ip_address& to) const {
  const ip_address near = with_.addresses.source_for(all_nodes_group, all_nodes_group);
  const auto outer =
      *store(ethernet{.destination = group_mac(to), .source = with_.mac, .type = ether_type::ipv6}, frame.bytes());
  const auto ip = *store(ipv6{.next_header = ip_protocol::hop_by_hop,
                              .hop_limit = one_hop,
                              .source = near.is_link_local() ? near.ipv6() : ipv6_address{},
                              .destination = to.ipv6()},
                         outer.payload());
  std::memcpy(ip.payload().data(), alert.data(), alert.size());
}

void mld_host::send(packet* frame) {
  const auto ip = *mutable_view<ipv6>::parse(frame->bytes().subspan(ip_at));
  ip.set<&ipv6::payload_length>(u<16>::masked(frame->length - alert_at));
  const auto message = frame->bytes().subspan(message_at);
  auto sum =
      pseudo_header_sum(ip_address(ip.get<&ipv6::source>()), ip_address(ip.get<&ipv6::destination>()),
                        static_cast<std::uint8_t>(ip_protocol::icmpv6), static_cast<std::uint16_t>(message.size()));
  sum.add(message);
  mutable_view<mld>::parse(message)->set<&mld::checksum>(sum.finish());
  with_.out.transmit(frame);
}

void mld_host::report(const ip_address& group, group_query::dialect) {
  send_older({.type = icmpv6_type::listener_report, .group = group.ipv6()}, group);
}

void mld_host::leave(const ip_address& group) {
  send_older({.type = icmpv6_type::listener_done, .group = group.ipv6()}, all_routers_group);
}

}  // namespace fastudp
