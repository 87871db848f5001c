#include "stack/igmp.h"

#include <cstring>
#include <utility>

#include "packet/pool.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/igmp.h"
#include "wire/ipv4.h"

namespace fastudp {
namespace {

// RFC 3376 4 and 4.2.14, RFC 2236 2 and 9: one hop, internetwork control, with the router alert option.
constexpr ip_address all_routers{ipv4_address{{224, 0, 0, 2}}}, v3_routers{ipv4_address{{224, 0, 0, 22}}};
constexpr std::uint8_t one_hop = 1;
constexpr std::uint32_t ip_size = 24, message_at = fixed_size<ethernet> + ip_size;
constexpr duration tenth = 100 * millisecond, v1_delay = 10 * second;

ipv4 header_to(const ip_address& from, const ip_address& to) {
  ipv4 out{.ihl = 6, .dscp = 0x30, .flags = ipv4::dont_fragment, .ttl = one_hop, .protocol = ip_protocol::igmp};
  out.source = from.ipv4();
  out.destination = to.ipv4();
  out.options.content = {std::byte{0x94}, std::byte{4}};
  return out;
}

group_query read_v3(const view<igmpv3_query>& query, source_list& room) {
  group_query out{.group = query.get<&igmpv3_query::group>(),
                  .most_delay = from_exponent_code(query.get<&igmpv3_query::max_response_code>()) * tenth,
                  .robustness = query.get<&igmpv3_query::robustness>()};
  for (std::size_t i = 0; i < query.get<&igmpv3_query::sources>(); ++i) {
    ipv4_address source;
    std::memcpy(source.bytes.data(), query.payload().data() + i * sizeof source, sizeof source);
    out.too_many_sources |= !room.add(source);
  }
  out.sources = room.all();
  return out;
}

// RFC 3376 7.1: the version is told by the length.
group_query read_older(const view<igmp>& query) {
  const std::uint8_t delay = query.get<&igmp::max_response>();
  return {.version = delay == 0 ? group_query::dialect::reports : group_query::dialect::leaves,
          .group = query.get<&igmp::group>(),
          .most_delay = delay == 0 ? v1_delay : delay * tenth};
}

// RFC 3376 4.1.12: general ones go to all systems, the others to the group, or either to a host's own address.
bool is_well_addressed(const ip_address& asked, const ip_arrival& message) {
  if (!message.destination.is_multicast()) return asked.is_any() || asked.is_multicast();
  return message.destination == (asked.is_any() ? all_systems_group : asked);
}

}  // namespace

void igmp_host::receive(const ip_arrival& message, time_point now) {
  const drop why = hear(message, now);
  if (why != drop::count) with_.count.dropped(why);
  release(message.datagram);
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
      with_.groups.reported_by_another(header->get<&igmp::group>(), now);
      return drop::count;
    default:
      return drop::count;  // for routers
  }
}

drop igmp_host::hear_query(const ip_arrival& message, time_point now) {
  const auto bytes = message.datagram->bytes();
  const auto newest = view<igmpv3_query>::parse(bytes);
  if (newest && newest->payload().size() < newest->get<&igmpv3_query::sources>() * sizeof(ipv4_address)) {
    return drop::group_message;
  }
  if (!newest && bytes.size() != fixed_size<igmp>) return drop::group_message;
  source_list room;
  const group_query asked = newest ? read_v3(*newest, room) : read_older(*view<igmp>::parse(bytes));
  if (!is_well_addressed(asked.group, message)) return drop::group_message;
  with_.groups.asked(asked, ip_family::v4, now);
  return drop::count;
}

// An empty message to `to`, for the payload to be appended to.
packet* igmp_host::begin(const ip_address& to) {
  packet* p = with_.out.take_frame();
  if (p == nullptr) {
    with_.count.dropped(drop::no_memory);
    return nullptr;
  }
  p->length = message_at;
  const auto outer =
      *store(ethernet{.destination = group_mac(to), .source = with_.mac, .type = ether_type::ipv4}, p->bytes());
  store(header_to(with_.addresses.source_for(to, to), to), outer.payload());
  return p;
}

// Both checksums, and the length, of what is complete otherwise.
void igmp_host::send(packet* frame) {
  const auto ip = *mutable_view<ipv4>::parse(frame->bytes().subspan(fixed_size<ethernet>));
  ip.set<&ipv4::total_length>(u<16>::masked(frame->length - fixed_size<ethernet>));
  ip.set<&ipv4::checksum>(checksum(ip.header()));
  mutable_view<igmp>::parse(ip.payload())->set<&igmp::checksum>(checksum(ip.payload()));
  with_.out.transmit(frame);
}

void igmp_host::add(const group_record& what) {
  const auto size = static_cast<std::uint32_t>(fixed_size<igmpv3_record> + what.sources.size() * sizeof(ipv4_address));
  if (report_ != nullptr && report_->length + size > fixed_size<ethernet> + with_.mtu) finish();
  if (report_ == nullptr) {
    report_ = begin(v3_routers);
    if (report_ == nullptr) return;
    report_->length += fixed_size<igmpv3_report>;
    store(igmpv3_report{}, report_->bytes().subspan(message_at));
  }
  const std::uint32_t at = std::exchange(report_->length, report_->length + size);
  const auto record = *store(igmpv3_record{.type = as<group_record_type, 8>(what.type),
                                           .sources = u<16>::masked(what.sources.size()),
                                           .group = what.group.ipv4()},
                             report_->bytes().subspan(at));
  std::byte* to = record.payload().data();
  for (const ip_address& each : what.sources) {
    std::memcpy(to, each.ipv4().bytes.data(), sizeof(ipv4_address));
    to += sizeof(ipv4_address);
  }
  ++records_;
}

void igmp_host::finish() {
  if (report_ == nullptr) return;
  const auto report = *mutable_view<igmpv3_report>::parse(report_->bytes().subspan(message_at));
  report.set<&igmpv3_report::records>(std::exchange(records_, std::uint16_t{0}));
  send(std::exchange(report_, nullptr));
}

void igmp_host::report(const ip_address& group, group_query::dialect version) {
  packet* p = begin(group);
  if (p == nullptr) return;
  p->length += fixed_size<igmp>;
  const auto type = version == group_query::dialect::reports ? igmp_type::report_v1 : igmp_type::report_v2;
  store(igmp{.type = as<igmp_type, 8>(type), .group = group.ipv4()}, p->bytes().subspan(message_at));
  send(p);
}

void igmp_host::leave(const ip_address& group) {
  packet* p = begin(all_routers);
  if (p == nullptr) return;
  p->length += fixed_size<igmp>;
  store(igmp{.type = igmp_type::leave, .group = group.ipv4()}, p->bytes().subspan(message_at));
  send(p);
}

}  // namespace fastudp
