#include "stack/mld.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "packet/pool.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/mld.h"

namespace fastudp {
namespace {

constexpr ip_address v2_routers{ipv6_address{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16}}};
constexpr std::uint8_t one_hop = 1;
// RFC 3810 5: a hop-by-hop header with the router alert option (RFC 2711) of MLD, filled up to eight bytes.
constexpr std::array<std::uint8_t, 8> alert{static_cast<std::uint8_t>(ip_protocol::icmpv6), 0, 5, 2, 0, 0, 1, 0};
constexpr std::uint32_t ip_at = fixed_size<ethernet>, alert_at = ip_at + fixed_size<ipv6>;
constexpr std::uint32_t message_at = alert_at + alert.size();

// RFC 3810 5.1.14 and 6.2: what has been routed here, or isn't marked as MLD's, isn't for this link.
bool is_from_here(const ip_arrival& message) {
  if (message.ttl != one_hop || !message.source.is_link_local()) return false;
  const packet& p = *message.datagram;
  const std::span<const std::byte> between(p.frame + p.network + fixed_size<ipv6>, p.frame + p.transport);
  const auto option = std::as_bytes(std::span(alert)).subspan(2, 4);
  return std::search(between.begin(), between.end(), option.begin(), option.end()) != between.end();
}

group_query read_v2(const view<mldv2_query>& query, source_list& room) {
  group_query out{.group = query.get<&mldv2_query::group>(),
                  .most_delay = from_exponent_code(query.get<&mldv2_query::max_response_code>()) * millisecond,
                  .robustness = query.get<&mldv2_query::robustness>()};
  for (std::size_t i = 0; i < query.get<&mldv2_query::sources>(); ++i) {
    ipv6_address source;
    std::memcpy(source.bytes.data(), query.payload().data() + i * sizeof source, sizeof source);
    out.too_many_sources |= !room.add(source);
  }
  out.sources = room.all();
  return out;
}

group_query read_older(const view<mld>& query) {
  return {.version = group_query::dialect::leaves,
          .group = query.get<&mld::group>(),
          .most_delay = query.get<&mld::max_response>() * millisecond};
}

// RFC 3810 5.1.15.
bool is_well_addressed(const ip_address& asked, const ip_arrival& message) {
  if (!message.destination.is_multicast()) return asked.is_any() || asked.is_multicast();
  return message.destination == (asked.is_any() ? all_nodes_group : asked);
}

}  // namespace

void mld_host::receive(const ip_arrival& message, time_point now) {
  const drop why = hear(message, now);
  if (why != drop::count) with_.count.dropped(why);
  release(message.datagram);
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

// An IPv4-mapped group would be one of IGMP's.
drop mld_host::hear_report(const ip_address& group, time_point now) {
  if (group.is_v4()) return drop::group_message;
  with_.groups.reported_by_another(group, now);
  return drop::count;
}

drop mld_host::hear_query(const ip_arrival& message, time_point now) {
  const auto bytes = message.datagram->bytes();
  const auto newest = view<mldv2_query>::parse(bytes);
  if (newest && newest->payload().size() < newest->get<&mldv2_query::sources>() * sizeof(ipv6_address)) {
    return drop::group_message;
  }
  if (!newest && bytes.size() != fixed_size<mld>) return drop::group_message;  // RFC 3810 8.1
  source_list room;
  const group_query asked = newest ? read_v2(*newest, room) : read_older(*view<mld>::parse(bytes));
  if (asked.group.is_v4() || !is_well_addressed(asked.group, message)) return drop::group_message;
  with_.groups.asked(asked, ip_family::v6, now);
  return drop::count;
}

// An empty message to `to`, for the payload to be appended to. RFC 3590: from a link-local address, or from none.
packet* mld_host::begin(const ip_address& to) {
  packet* p = with_.out.take_frame();
  if (p == nullptr) {
    with_.count.dropped(drop::no_memory);
    return nullptr;
  }
  p->length = message_at;
  const ip_address near = with_.addresses.source_for(all_nodes_group, all_nodes_group);
  const auto outer =
      *store(ethernet{.destination = group_mac(to), .source = with_.mac, .type = ether_type::ipv6}, p->bytes());
  const auto ip = *store(ipv6{.next_header = ip_protocol::hop_by_hop,
                              .hop_limit = one_hop,
                              .source = near.is_link_local() ? near.ipv6() : ipv6_address{},
                              .destination = to.ipv6()},
                         outer.payload());
  std::memcpy(ip.payload().data(), alert.data(), alert.size());
  return p;
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

void mld_host::add(const group_record& what) {
  const auto size = static_cast<std::uint32_t>(fixed_size<mldv2_record> + what.sources.size() * sizeof(ipv6_address));
  if (report_ != nullptr && report_->length + size > fixed_size<ethernet> + with_.mtu) finish();
  if (report_ == nullptr) {
    report_ = begin(v2_routers);
    if (report_ == nullptr) return;
    report_->length += fixed_size<mldv2_report>;
    store(mldv2_report{}, report_->bytes().subspan(message_at));
  }
  const std::uint32_t at = std::exchange(report_->length, report_->length + size);
  const auto record = *store(mldv2_record{.type = as<group_record_type, 8>(what.type),
                                          .sources = u<16>::masked(what.sources.size()),
                                          .group = what.group.ipv6()},
                             report_->bytes().subspan(at));
  std::byte* to = record.payload().data();
  for (const ip_address& each : what.sources) {
    std::memcpy(to, each.bytes.data(), sizeof(ipv6_address));
    to += sizeof(ipv6_address);
  }
  ++records_;
}

void mld_host::finish() {
  if (report_ == nullptr) return;
  const auto report = *mutable_view<mldv2_report>::parse(report_->bytes().subspan(message_at));
  report.set<&mldv2_report::records>(std::exchange(records_, std::uint16_t{0}));
  send(std::exchange(report_, nullptr));
}

void mld_host::report(const ip_address& group, group_query::dialect) {
  packet* p = begin(group);
  if (p == nullptr) return;
  p->length += fixed_size<mld>;
  store(mld{.type = icmpv6_type::listener_report, .group = group.ipv6()}, p->bytes().subspan(message_at));
  send(p);
}

void mld_host::leave(const ip_address& group) {
  packet* p = begin(all_routers_group);
  if (p == nullptr) return;
  p->length += fixed_size<mld>;
  store(mld{.type = icmpv6_type::listener_done, .group = group.ipv6()}, p->bytes().subspan(message_at));
  send(p);
}

}  // namespace fastudp
