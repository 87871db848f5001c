#pragma once
// IGMP: hears the queries and reports of others, and says what the group table wants to be said. RFC 3376; RFC 2236 and
// RFC 1112 where older routers are.

#include "stack/group_host.h"
#include "wire/igmp.h"
#include "wire/ipv4.h"

namespace fastudp {

struct igmp_layouts {
  using address = ipv4_address;
  using any = igmp;
  using query = igmpv3_query;
  using report = igmpv3_report;
  using record = igmpv3_record;

  static constexpr ip_family family = ip_family::v4;
  static constexpr ip_address everybody = all_systems_group;
  static constexpr ip_address routers{ipv4_address{{224, 0, 0, 22}}};  // RFC 3376 4.2.14
  // Behind an IP header with the router alert option.
  static constexpr std::uint32_t message_at = fixed_size<ethernet> + fixed_size<ipv4> + 4;
  static constexpr duration unit = 100 * millisecond;
  static group_query read_older(const view<igmp>& query);
};

class igmp_host final : public group_host<igmp_layouts> {
 public:
  using group_host::group_host;

  // Takes ownership.
  void receive(const ip_arrival& message, time_point now) { end(message, hear(message, now)); }

  void report(const ip_address& group, group_query::dialect version) override;
  void leave(const ip_address& group) override;

 private:
  drop hear(const ip_arrival& message, time_point now);
  void write_headers(packet& frame, const ip_address& to) const override;
  void send(packet* frame) override;
};

}  // namespace fastudp
