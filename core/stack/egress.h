#pragma once
// The way out: finds the path to a destination, writes IP and Ethernet headers, fragments, parks what waits for a
// neighbour, and fills the link's transmit burst.

#include <algorithm>
#include <cstdint>

#include "base/counters.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "link/link.h"
#include "packet/burst.h"
#include "packet/queue.h"
#include "stack/arp.h"
#include "stack/frame_store.h"
#include "stack/groups.h"
#include "stack/local_addresses.h"
#include "stack/ndp.h"
#include "stack/neighbours.h"
#include "stack/output.h"
#include "stack/path.h"
#include "stack/path_mtu.h"
#include "stack/routes.h"
#include "stack/sink.h"

namespace fastudp {

inline constexpr std::uint32_t longest_ip_datagram = 65'535;

class egress final : public frame_output, public neighbour_events {
 public:
  // What egress works with; all of it outlives it.
  struct parts {
    fastudp::link& link;
    counters& count;
    frame_store& store;
    const local_addresses& addresses;
    route_table& routes;
    neighbour_table& neighbours;
    arp_responder& arp;
    ndp_responder& ndp;
    path_mtu_cache& path_mtu;
    const group_table& groups;
    datagram_sink& sink;
    sharing with_host = sharing::none;
  };
  egress(const parts& with, random_source& random)
      : with_(with), random_(random), flow_secret_(random.next()), mtu_(with.link.info().mtu), mtu_v6_(mtu_) {}

  // The path to a destination, from `source` or, when that is the any address, from the address that fits best.
  // ENETUNREACH: no route; ENETDOWN: the device is gone; EINVAL: not an address to send to.
  result<path> find_path(ip_address destination, ip_address source, time_point now);
  bool is_current(const path& way) const { return way.generation == generation_; }

  // What is longer, with its IP header, is fragmented or refused.
  std::uint32_t longest_whole(const path& way, const ip_choices& choices) const;
  // An empty packet for `size` bytes of IP payload; null when no frame is free.
  packet* take_datagram(std::uint32_t size);
  // Sends one IP payload. Takes ownership whatever becomes of it. EMSGSIZE: longer than the path takes, and not to be
  // fragmented; ENOBUFS: no frame, no room for it at the neighbour or on the link.
  status send(const path& way, packet* payload, const ip_choices& choices, time_point now);
  // Everything taken so far leaves.
  void flush();
  bool has_unsent() const { return !burst_.empty(); }

  // Datagrams to addresses of our own, beginning with their IP header.
  packet_queue& to_ourselves() { return to_ourselves_; }

  // Paths that were found before are no longer current.
  void invalidate_paths() { ++generation_; }

  // Of the interface now: the link's own, or less.
  std::uint32_t mtu(ip_family of) const { return of == ip_family::v4 ? mtu_ : std::min(mtu_, mtu_v6_); }
  void set_mtu(std::uint32_t mtu);
  // Of the way to our own addresses, which is the loopback interface's where the host has one.
  void set_local_mtu(std::uint32_t mtu);
  // What a router said, for IPv6 alone: the largest datagram on this link, and the hop limit where nobody chose one.
  void set_mtu_v6(std::uint32_t mtu);
  void set_hop_limit(std::uint8_t hops) { hop_limit_ = hops; }
  std::uint8_t hop_limit() const { return hop_limit_; }
  // Why nothing can go by the link now: so everything is the kernel's, where that has the addresses; otherwise there is
  // no path (ENETDOWN). `count`: it can.
  void set_trouble(kernel_reason why);

  packet* take_frame() override { return with_.link.frames().take(); }
  void transmit(packet* frame) override { (void)try_transmit(frame); }

  void solicit(const ip_address& target, const mac_address* unicast_to) override;
  void release_parked(packet* frame, const mac_address& to) override;
  void unreachable(packet* frame) override;
  void changed() override { invalidate_paths(); }

 private:
  result<path> classify(ip_address destination, ip_address source) const;
  path classify_shared(ip_address destination, ip_address source) const;
  status follow_route(path& way, ip_address source) const;
  void resolve(path& way, mac_address& to, time_point now);
  void write_template(path& way, const mac_address& to) const;
  void push_ipv4(const path& way, packet* p, const ip_choices& choices, std::uint16_t flags_and_offset,
                 std::uint16_t identification) const;
  void push_ipv6(const path& way, packet* p, const ip_choices& choices, ip_protocol next) const;
  static void push_fragment_header(packet* p, const ip_choices& choices, std::uint32_t at, bool last,
                                   std::uint32_t identification);
  status send_fragments(const path& way, packet* whole, const ip_choices& choices, time_point now);
  status emit(const path& way, packet* datagram, const ip_choices& choices, time_point now);
  void keep_copy(const path& way, const packet& datagram, packet*& kept);
  void send_copy_to_ourselves(const packet& datagram);
  status park(const path& way, packet* frame, time_point now);
  status try_transmit(packet* frame);
  void push_burst();

  parts with_;
  random_source& random_;
  std::uint64_t flow_secret_;
  std::uint64_t generation_ = 1;
  std::uint32_t mtu_, mtu_v6_, local_mtu_ = 65'536;  // the loopback interface's, if nobody says otherwise
  std::uint8_t hop_limit_ = ip_choices{}.ttl;
  kernel_reason trouble_ = kernel_reason::count;
  burst burst_;
  packet_queue to_ourselves_;
};

}  // namespace fastudp
