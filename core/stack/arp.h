#pragma once
// ARP for IPv4 on Ethernet (RFC 826): asks, answers, and tells the neighbour table; probes for and announces our own
// addresses, and defends them (RFC 5227). They were configured, not chosen by us, so that an address is used from the
// start and never given up, as on Linux; but one that another host was found to hold is not announced. Conflicts are
// counted.

#include <array>
#include <cstdint>

#include "base/counters.h"
#include "base/random.h"
#include "base/time.h"
#include "packet/packet.h"
#include "stack/local_addresses.h"
#include "stack/neighbours.h"
#include "stack/output.h"

namespace fastudp {

struct arp;

class arp_responder {
 public:
  arp_responder(frame_output& out, const local_addresses& ours, neighbour_table& neighbours, const mac_address& mac,
                random_source& random, counters& count)
      : out_(out), ours_(ours), neighbours_(neighbours), mac_(mac), random_(random), count_(count) {}

  // A whole frame, of which only the Ethernet header has been looked at. Takes ownership.
  void receive(packet* frame, time_point now);
  // Asks everybody, or the one host that had the address, for a neighbour's address on the link. Without a source, no
  // one can be asked: that would be a probe.
  void solicit(ipv4_address target, ipv4_address source, const mac_address* unicast_to);

  // RFC 5227 2.1: probes for an address of ours, then announces it.
  void claim(ipv4_address address, time_point now);
  void forget(ipv4_address address);

  time_point deadline() const { return deadline_; }
  void advance(time_point now);

 private:
  struct claimed {
    ipv4_address address;
    std::uint8_t step = 0;   // probes and announcements sent
    bool contested = false;  // somebody had it before us
    time_point due = never;
    time_point quiet_until = 0;  // after a defence
  };

  void learn(const arp& message, const mac_address& frame_destination, time_point now);
  void detect_conflict(const arp& message, time_point now);
  void defend(claimed& c, time_point now);
  void take_step(claimed& c, time_point now);
  void announce(ipv4_address address);
  void send(const arp& message, const mac_address& to);
  claimed* find(ipv4_address address);

  frame_output& out_;
  const local_addresses& ours_;
  neighbour_table& neighbours_;
  const mac_address& mac_;
  random_source& random_;
  counters& count_;
  std::array<claimed, local_addresses::capacity> claims_;
  std::size_t claim_count_ = 0;
  time_point deadline_ = never;
};

}  // namespace fastudp
