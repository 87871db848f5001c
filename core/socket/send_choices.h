#pragma once
// What one datagram may have of its own, instead of the socket's settings.

#include <cstdint>

#include "base/address.h"

namespace fastudp {

struct send_choices {
  ip_address source{};                // of IPv6; any: the socket's
  ip_address source_v4{};             // of IPv4, when one was given: any is the route's choice then
  int interface = 0;                  // to leave by; 0: the one that the route says
  int ttl = -1, tos = -1;             // of IPv4; -1: the socket's
  int hops = -1, traffic_class = -1;  // of IPv6, likewise
  int segment = -1;                   // UDP_SEGMENT; -1: the socket's
  std::int64_t stamps = -1;           // SOF_TIMESTAMPING_TX_*; -1: the socket's
  std::int64_t stamp_id = -1;         // the number to tell it by; -1: the next one
  bool has_v6_source = false;         // an address of IPv6, or its any address, was given as the source
  bool has_v4_source = false;
  bool is_v6_said = false;
  bool is_ambiguous = false;  // two that aren't of one mind, or RFC 2292's names, which mean nothing to IPv4
  bool confirm = false;       // the peer is known to be alive (MSG_CONFIRM)
  bool completes = false;     // MSG_ZEROCOPY: when it is done, the error queue says so
  int refusal = 0;            // errno: they can't be had, which Linux says after it has looked at the destination

  void leave_from(const ip_address& address) {
    has_v4_source = address.is_v4();
    (has_v4_source ? source_v4 : source) = address;
  }
  // Any: nothing was said of it.
  ip_address source_over(ip_family family) const {
    if (family == ip_family::v6) return source;
    return has_v4_source ? source_v4 : ip_address::any(ip_family::v4);
  }
};

}  // namespace fastudp
