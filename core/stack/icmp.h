#pragma once
// ICMP for IPv4 (RFC 792, RFC 1122 3.2.2): answers echo requests, reports errors about our datagrams to the sockets,
// and tells senders what could not be delivered.

#include "base/counters.h"
#include "base/time.h"
#include "stack/egress.h"
#include "stack/ip_arrival.h"
#include "stack/path_mtu.h"
#include "stack/rate_limit.h"
#include "stack/sink.h"
#include "wire/icmpv4.h"

namespace fastudp {

class icmp_host {
 public:
  icmp_host(egress& out, const local_addresses& addresses, path_mtu_cache& path_mtu, datagram_sink& sink,
            rate_limiter& limit, std::uint32_t link_mtu, counters& count, sharing with_host = sharing::none)
      : out_(out),
        addresses_(addresses),
        path_mtu_(path_mtu),
        sink_(sink),
        limit_(limit),
        link_mtu_(link_mtu),
        count_(count),
        shared_(with_host == sharing::interface) {}

  // Takes ownership of the packet.
  void receive(const ip_arrival& message, time_point now);
  // Tells the sender of `offending`, whose `network` is set, unless RFC 1122 3.2.2 forbids it. Leaves the packet alone.
  void send_error(icmpv4_type type, std::uint8_t code, const packet& offending, time_point now);

 private:
  void answer_echo(const ip_arrival& request, time_point now);
  void receive_error(const ip_arrival& message, time_point now);

  egress& out_;
  const local_addresses& addresses_;
  path_mtu_cache& path_mtu_;
  datagram_sink& sink_;
  rate_limiter& limit_;
  std::uint32_t link_mtu_;
  counters& count_;
  bool shared_;  // the kernel hears the same, and answers
};

}  // namespace fastudp
