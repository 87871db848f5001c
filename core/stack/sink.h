#pragma once
// Where the stack hands datagrams and errors to. The socket layer implements it; the stack knows nothing of sockets.

#include <cstdint>
#include <span>

#include "base/time.h"
#include "packet/packet.h"
#include "stack/flow.h"
#include "stack/ip_facts.h"

namespace fastudp {

// A UDP datagram that arrived for this host: headers and checksum are verified, the packet begins at the payload.
struct arrival {
  packet* datagram = nullptr;
  flow where;
  bool group = false;      // sent to a broadcast or multicast address: every matching socket gets a copy
  bool taken = false;      // set by the sink: the packet is the sink's now
  bool answerable = true;  // an ICMP error may be sent about it (RFC 1122 3.2.2)
};

// An ICMP error about a datagram of ours, or what the stack itself found out in the same terms.
struct icmp_report {
  flow about;  // the datagram's, from our point of view
  std::uint8_t type = 0, code = 0;
  std::uint32_t mtu = 0;               // of "fragmentation needed"; 0 otherwise
  ip_address reporter;                 // who says so
  ip_facts message{};                  // of the ICMP message
  std::span<const std::byte> payload;  // what is quoted of our datagram's payload
};

class datagram_sink {
 public:
  // Takes the datagrams that a socket wants, sets `taken` on them and leaves the others to the stack.
  virtual void deliver(std::span<arrival> arrivals, time_point now) = 0;
  // False when no socket ever sent such a datagram: then the report changes nothing.
  virtual bool report(const icmp_report& what) = 0;

 protected:
  ~datagram_sink() = default;
};

}  // namespace fastudp
