#pragma once
// What IGMP and MLD do alike, each over its own layouts: reads the newest queries, and writes reports record by record.

#include <cstring>
#include <utility>

#include "base/counters.h"
#include "base/time.h"
#include "packet/pool.h"
#include "stack/group_messages.h"
#include "stack/groups.h"
#include "stack/ip_arrival.h"
#include "stack/local_addresses.h"
#include "stack/output.h"
#include "wire/ethernet.h"

namespace fastudp {

// Layouts has the headers `any`, `query`, `report` and `record`, the `address` that stands in them, their `family`,
// where reports of records go (`routers`), who gets general queries (`everybody`), where a message begins in a frame
// (`message_at`), the `unit` of delays, and read_older(view<any>).
template <typename Layouts>
class group_host : public group_messages {
 public:
  // What it works with; all of it outlives it.
  struct parts {
    frame_output& out;
    const local_addresses& addresses;
    group_table& groups;
    const mac_address& mac;
    std::uint32_t mtu;
    counters& count;
  };
  explicit group_host(const parts& with) : with_(with) {}

  void add(const group_record& what) override;
  void finish() override;

 protected:
  using address = typename Layouts::address;
  static constexpr std::uint32_t message_at = Layouts::message_at;

  ~group_host() = default;

  // Headers up to the message, for a group; their lengths and checksums are send's.
  virtual void write_headers(packet& frame, const ip_address& to) const = 0;
  virtual void send(packet* frame) = 0;

  // An empty message to `to`, for the payload to be appended to.
  packet* begin(const ip_address& to);
  // One in an older dialect.
  void send_older(const typename Layouts::any& message, const ip_address& to);
  drop hear_query(const ip_arrival& message, time_point now);
  drop hear_report(const ip_address& group, time_point now);
  void end(const ip_arrival& message, drop why);

  parts with_;

 private:
  static address address_of(const ip_address& in);
  static group_query read_newest(const view<typename Layouts::query>& query, source_list& room);

  packet* report_ = nullptr;
  std::uint16_t records_ = 0;
};

template <typename Layouts>
typename Layouts::address group_host<Layouts>::address_of(const ip_address& in) {
  if constexpr (Layouts::family == ip_family::v4) {
    return in.ipv4();
  } else {
    return in.ipv6();
  }
}

template <typename Layouts>
void group_host<Layouts>::end(const ip_arrival& message, drop why) {
  if (why != drop::count) with_.count.dropped(why);
  release(message.datagram);
}

// ---- What others say

template <typename Layouts>
group_query group_host<Layouts>::read_newest(const view<typename Layouts::query>& query, source_list& room) {
  using header = typename Layouts::query;
  group_query out{.group = query.template get<&header::group>(),
                  .most_delay = from_exponent_code(query.template get<&header::max_response_code>()) * Layouts::unit,
                  .robustness = query.template get<&header::robustness>()};
  for (std::size_t i = 0; i < query.template get<&header::sources>(); ++i) {
    address source;
    std::memcpy(source.bytes.data(), query.payload().data() + i * sizeof source, sizeof source);
    out.too_many_sources |= !room.add(source);
  }
  out.sources = room.all();
  return out;
}

// RFC 3376 4.1.12 and 7.1, RFC 3810 5.1.15 and 8.1: the version is told by the length; general queries go to everybody,
// the others to the group, or either to a host's own address. A group of the other family is the other protocol's.
template <typename Layouts>
drop group_host<Layouts>::hear_query(const ip_arrival& message, time_point now) {
  using header = typename Layouts::query;
  const auto bytes = message.datagram->bytes();
  const auto newest = view<header>::parse(bytes);
  if (newest && newest->payload().size() < newest->template get<&header::sources>() * sizeof(address)) {
    return drop::group_message;
  }
  if (!newest && bytes.size() != fixed_size<typename Layouts::any>) return drop::group_message;
  source_list room;
  const group_query asked =
      newest ? read_newest(*newest, room) : Layouts::read_older(*view<typename Layouts::any>::parse(bytes));
  if (asked.group.family() != Layouts::family) return drop::group_message;
  const bool is_well_addressed = message.destination.is_multicast()
                                     ? message.destination == (asked.group.is_any() ? Layouts::everybody : asked.group)
                                     : asked.group.is_any() || asked.group.is_multicast();
  if (!is_well_addressed) return drop::group_message;
  with_.groups.asked(asked, Layouts::family, now);
  return drop::count;
}

template <typename Layouts>
drop group_host<Layouts>::hear_report(const ip_address& group, time_point now) {
  if (group.family() != Layouts::family) return drop::group_message;
  with_.groups.reported_by_another(group, now);
  return drop::count;
}

// ---- What we say

template <typename Layouts>
packet* group_host<Layouts>::begin(const ip_address& to) {
  packet* p = with_.out.take_frame();
  if (p == nullptr) {
    with_.count.dropped(drop::no_memory);
    return nullptr;
  }
  p->length = message_at;
  write_headers(*p, to);
  return p;
}

template <typename Layouts>
void group_host<Layouts>::send_older(const typename Layouts::any& message, const ip_address& to) {
  packet* p = begin(to);
  if (p == nullptr) return;
  p->length += fixed_size<typename Layouts::any>;
  store(message, p->bytes().subspan(message_at));
  send(p);
}

template <typename Layouts>
void group_host<Layouts>::add(const group_record& what) {
  using header = typename Layouts::record;
  const auto size = static_cast<std::uint32_t>(fixed_size<header> + what.sources.size() * sizeof(address));
  if (report_ != nullptr && report_->length + size > fixed_size<ethernet> + with_.mtu) finish();
  if (report_ == nullptr) {
    report_ = begin(Layouts::routers);
    if (report_ == nullptr) return;
    report_->length += fixed_size<typename Layouts::report>;
    store(typename Layouts::report{}, report_->bytes().subspan(message_at));
  }
  const std::uint32_t at = std::exchange(report_->length, report_->length + size);
  const auto record = *store(header{.type = as<group_record_type, 8>(what.type),
                                    .sources = u<16>::masked(what.sources.size()),
                                    .group = address_of(what.group)},
                             report_->bytes().subspan(at));
  std::byte* to = record.payload().data();
  for (const ip_address& each : what.sources) {
    const address source = address_of(each);
    std::memcpy(to, source.bytes.data(), sizeof source);
    to += sizeof source;
  }
  ++records_;
}

template <typename Layouts>
void group_host<Layouts>::finish() {
  using header = typename Layouts::report;
  if (report_ == nullptr) return;
  const auto report = *mutable_view<header>::parse(report_->bytes().subspan(message_at));
  report.template set<&header::records>(std::exchange(records_, std::uint16_t{0}));
  send(std::exchange(report_, nullptr));
}

}  // namespace fastudp
