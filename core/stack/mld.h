#pragma once
// MLD: hears the queries and reports of others, and says what the group table wants to be said. RFC 3810; RFC 2710
// where older routers are.

#include "base/counters.h"
#include "base/time.h"
#include "packet/packet.h"
#include "stack/group_messages.h"
#include "stack/groups.h"
#include "stack/ip_arrival.h"
#include "stack/local_addresses.h"
#include "stack/output.h"

namespace fastudp {

class mld_host final : public group_messages {
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
  explicit mld_host(const parts& with) : with_(with) {}

  // A message of MLD whose checksum holds. Takes ownership.
  void receive(const ip_arrival& message, time_point now);

  void add(const group_record& what) override;
  void finish() override;
  void report(const ip_address& group, group_query::dialect version) override;
  void leave(const ip_address& group) override;

 private:
  drop hear(const ip_arrival& message, time_point now);
  drop hear_report(const ip_address& group, time_point now);
  drop hear_query(const ip_arrival& message, time_point now);
  packet* begin(const ip_address& to);
  void send(packet* frame);

  parts with_;
  packet* report_ = nullptr;
  std::uint16_t records_ = 0;
};

}  // namespace fastudp
