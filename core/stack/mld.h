#pragma once
// MLD: hears the queries and reports of others, and says what the group table wants to be said. RFC 3810; RFC 2710
// where older routers are.

#include "stack/group_host.h"
#include "wire/mld.h"

namespace fastudp {

struct mld_layouts {
  using address = ipv6_address;
  using any = mld;
  using query = mldv2_query;
  using report = mldv2_report;
  using record = mldv2_record;

  static constexpr ip_family family = ip_family::v6;
  static constexpr ip_address everybody = all_nodes_group;
  // RFC 3810 5.2.14
  static constexpr ip_address routers{ipv6_address{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x16}}};
  // Behind an IP header and hop-by-hop options of eight bytes.
  static constexpr std::uint32_t message_at = fixed_size<ethernet> + fixed_size<ipv6> + 8;
  static constexpr duration unit = millisecond;
  static group_query read_older(const view<mld>& query);
};

class mld_host final : public group_host<mld_layouts> {
 public:
  using group_host::group_host;

  // A message of MLD whose checksum holds. Takes ownership.
  void receive(const ip_arrival& message, time_point now) { end(message, hear(message, now)); }

  void report(const ip_address& group, group_query::dialect version) override;
  void leave(const ip_address& group) override;

 private:
  drop hear(const ip_arrival& message, time_point now);
  void write_headers(packet& frame, const ip_address& to) const override;
  void send(packet* frame) override;
};

}  // namespace fastudp
