#pragma once
// ICMP for IPv6 (RFC 4443): answers echo requests, reports errors about our datagrams to the sockets, tells senders
// what could not be delivered, and passes neighbour discovery on.

#include "base/counters.h"
#include "base/time.h"
#include "stack/egress.h"
#include "stack/ip_arrival.h"
#include "stack/mld.h"
#include "stack/ndp.h"
#include "stack/path_mtu.h"
#include "stack/rate_limit.h"
#include "stack/router_discovery.h"
#include "stack/sink.h"
#include "wire/icmpv6.h"

namespace fastudp {

class icmpv6_host {
 public:
  // What it works with; all of it outlives it.
  struct parts {
    egress& out;
    const local_addresses& addresses;
    ndp_responder& ndp;
    mld_host& mld;
    path_mtu_cache& path_mtu;
    datagram_sink& sink;
    rate_limiter& limit;
    std::uint32_t link_mtu;
    counters& count;
    router_discovery& routers;
    bool shared = false;  // the kernel hears the same, and answers
  };
  explicit icmpv6_host(const parts& with) : with_(with) {}

  // Takes ownership of the packet.
  void receive(const ip_arrival& message, time_point now);
  // An error to the sender of `offending`, whose `network` is set, unless RFC 4443 2.4 (e) forbids it. Leaves the
  // packet alone. `rest` is the message's third word.
  void send_error(icmpv6_type type, std::uint8_t code, std::uint32_t rest, const packet& offending, time_point now);

 private:
  void answer_echo(const ip_arrival& request, time_point now);
  void receive_error(const ip_arrival& message, time_point now);
  void send(packet* message, const path& way, std::uint8_t traffic_class, time_point now);

  // Nobody's socket is told that an answer was too big for its way. Until then large ones go in pieces that every link
  // carries: all that a forged report gains.
  time_point small_answers_until_ = 0;
  parts with_;
};

}  // namespace fastudp
