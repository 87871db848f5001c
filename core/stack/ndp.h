#pragma once
// Neighbour discovery for IPv6 (RFC 4861): asks, answers, and tells the neighbour table; looks for others that have our
// addresses (RFC 4862 5.4) and announces them. As with ARP, they were configured, not chosen by us: an address is used
// from the start (RFC 4429 allows it to the careful) and never given up, but one that another host was found to hold is
// not announced. Conflicts are counted. Addresses of our own choice wait until they are found to be unique.

#include <array>
#include <cstdint>

#include "base/counters.h"
#include "base/random.h"
#include "base/time.h"
#include "packet/packet.h"
#include "stack/ip_arrival.h"
#include "stack/local_addresses.h"
#include "stack/neighbours.h"
#include "stack/output.h"
#include "wire/icmpv6.h"

namespace fastudp {

// What whoever chooses addresses and routers has to know.
class ndp_events {
 public:
  // What became of the search for another host that has an address of ours.
  virtual void is_unique(const ip_address& address, time_point now) = 0;
  virtual void is_taken(const ip_address& address, time_point now) = 0;
  // A neighbour says that it doesn't route.
  virtual void is_no_router(const ip_address& neighbour, time_point now) = 0;

 protected:
  ~ndp_events() = default;
};

class ndp_responder {
 public:
  ndp_responder(frame_output& out, const local_addresses& ours, neighbour_table& neighbours, const mac_address& mac,
                random_source& random, counters& count, ndp_events& events)
      : out_(out), ours_(ours), neighbours_(neighbours), mac_(mac), random_(random), count_(count), events_(events) {}

  // A message of neighbour discovery whose checksum holds. Takes ownership.
  void receive(const ip_arrival& message, time_point now);
  // Asks the target's group, or the one host that had the address. Without a source no one can be asked.
  void solicit(const ip_address& target, const ip_address& source, const mac_address* unicast_to);
  void solicit_routers(const ip_address& source);

  // Looks for another that has it, then announces it.
  void claim(const ip_address& address, time_point now);
  void forget(const ip_address& address);

  time_point deadline() const { return deadline_; }
  void advance(time_point now);

 private:
  struct claimed {
    ip_address address;
    bool probed = false;
    time_point due = never;
  };

  void receive_solicitation(const ip_arrival& message, time_point now);
  void receive_advertisement(const ip_arrival& message, time_point now);
  void conflict(const ip_address& address, time_point now);
  void take_step(claimed& c, time_point now);
  void advertise(const ip_address& target, const ip_address& to, const mac_address& to_mac, bool solicited);
  void send_solicitation(const ip_address& target, const ip_address& source, const ip_address& to,
                         const mac_address& to_mac);
  template <typename Message>
  void send(const Message& message, const nd_link_layer_option* option, const ip_address& source, const ip_address& to,
            const mac_address& to_mac);
  claimed* find(const ip_address& address);

  frame_output& out_;
  const local_addresses& ours_;
  neighbour_table& neighbours_;
  const mac_address& mac_;
  random_source& random_;
  counters& count_;
  ndp_events& events_;
  std::array<claimed, local_addresses::capacity + local_addresses::most_tentative> claims_;
  std::size_t claim_count_ = 0;
  time_point deadline_ = never;
};

}  // namespace fastudp
