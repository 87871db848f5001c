#pragma once
// What one datagram may have of its own, instead of the socket's settings.

#include "base/address.h"

namespace fastudp {

struct send_choices {
  ip_address source{};                // any: the socket's
  int interface = 0;                  // to leave by; 0: the one that the route says
  int ttl = -1, tos = -1;             // of IPv4; -1: the socket's
  int hops = -1, traffic_class = -1;  // of IPv6, likewise
  int segment = -1;                   // UDP_SEGMENT; -1: the socket's
  bool confirm = false;               // the peer is known to be alive (MSG_CONFIRM)
  bool completes = false;             // MSG_ZEROCOPY: when it is done, the error queue says so
  int refusal = 0;  // errno: they can't be had, which Linux says after it has looked at the destination
};

}  // namespace fastudp
