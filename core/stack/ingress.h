#pragma once
// The way in: verifies every header, finds out what a frame is, and hands it to the protocol that it is for.

#include <array>

#include "base/counters.h"
#include "base/time.h"
#include "packet/burst.h"
#include "stack/arp.h"
#include "stack/groups.h"
#include "stack/icmp.h"
#include "stack/icmpv6.h"
#include "stack/igmp.h"
#include "stack/ipv6_chain.h"
#include "stack/local_addresses.h"
#include "stack/path.h"
#include "stack/reassembly.h"
#include "stack/sink.h"

namespace fastudp {

class ingress final : public reassembly_events {
 public:
  struct parts {
    const mac_address& mac;
    counters& count;
    const local_addresses& addresses;
    const group_table& groups;
    arp_responder& arp;
    icmp_host& icmp;
    icmpv6_host& icmpv6;
    igmp_host& igmp;
    reassembly& fragments;
    datagram_sink& sink;
    sharing with_host = sharing::none;
  };
  explicit ingress(const parts& with) : with_(with) {}

  // Takes ownership of every frame in the burst and leaves it empty.
  void receive(burst& frames, time_point now);
  // The same for a datagram that never left this host; it begins with its IP header.
  void receive_from_ourselves(packet* datagram, time_point now);
  // Hands what has been collected to the sockets; at the end of each burst.
  void deliver(time_point now);

  void timed_out(packet* first_fragment, time_point now) override;

 private:
  void receive_frame(packet* frame, time_point now);
  void receive_ipv4(packet* datagram, bool link_unicast, bool local, time_point now);
  // In ingress_ipv6.cpp.
  void receive_ipv6(packet* p, bool link_unicast, bool local, time_point now);
  void follow_chain(ip_arrival& ip, const ipv6_chain& chain, time_point now);
  void receive_ipv6_fragment(ip_arrival& ip, const ipv6_chain& chain, time_point now);
  void refuse_ipv6(const ip_arrival& ip, icmpv6_problem_code code, std::uint32_t pointer, time_point now);
  bool is_for_us_v6(const ip_arrival& ip, bool local) const;
  void dispatch(const ip_arrival& datagram, time_point now);
  void receive_udp(const ip_arrival& datagram);
  bool is_the_kernels_too(drop why) const;
  bool is_for_us(const ip_arrival& ip, bool local) const;
  bool is_in_group(const ip_arrival& ip) const;
  void tell_no_socket(const arrival& left, time_point now);
  void discard(packet* p, drop why);

  parts with_;
  std::array<arrival, burst::capacity> arrivals_;
  std::size_t count_ = 0;
};

}  // namespace fastudp
