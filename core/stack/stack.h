#pragma once
// One host: a link, its addresses, routes and neighbours, and IPv4 and IPv6 on them. Everything that happens is a
// function of (state, frames, now): no clock, no threads, no system calls but the link's.

#include <cstdint>
#include <memory>
#include <span>

#include "base/counters.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "link/link.h"
#include "stack/arp.h"
#include "stack/autoconfiguration.h"
#include "stack/egress.h"
#include "stack/frame_store.h"
#include "stack/groups.h"
#include "stack/icmp.h"
#include "stack/icmpv6.h"
#include "stack/igmp.h"
#include "stack/ingress.h"
#include "stack/local_addresses.h"
#include "stack/mld.h"
#include "stack/ndp.h"
#include "stack/neighbours.h"
#include "stack/path_mtu.h"
#include "stack/rate_limit.h"
#include "stack/reassembly.h"
#include "stack/routes.h"
#include "stack/sink.h"

namespace fastudp {

struct stack_settings {
  std::uint64_t seed = 1;
  std::uint32_t neighbours = 1024;
  std::uint32_t routes = 1024;
  std::uint32_t groups = 512;
  bool announce = true;                                   // probe and announce new addresses (RFC 5227)
  bool limits_errors_v4 = true, limits_errors_v6 = true;  // how many ICMP errors are sent
  sharing with_host = sharing::none;
  sip_key stable_secret{};  // this host's, for the addresses that it forms (RFC 7217)
};

class stack {
 public:
  // Link, counters and sink outlive the stack. One thread at a time calls it.
  static result<std::unique_ptr<stack>> create(link& device, counters& count, datagram_sink& sink,
                                               const stack_settings& settings);
  stack(const stack&) = delete;
  stack& operator=(const stack&) = delete;

  // Bounded work: takes at most `budget` frames from the link, and runs what is due. Returns how many frames it took.
  std::size_t poll(time_point now, std::size_t budget);
  // When poll has something to do even if no frame arrives.
  time_point deadline() const;
  // What has been sent leaves, or, sent to ourselves, arrives.
  void flush(time_point now);

  // EEXIST, EADDRNOTAVAIL, EINVAL, ENOSPC as the C API says.
  status add_address(const ip_prefix& address, time_point now);
  status remove_address(ip_address address, time_point now);
  // Addresses, on-link prefixes, default route, MTU and hop limit as the routers on the link say. EINVAL: the addresses
  // are the host's.
  status autoconfigure(time_point now);
  status add_route(const ip_prefix& destination, const ip_address* gateway);
  status remove_route(const ip_prefix& destination);
  status add_neighbour(ip_address address, const mac_address& mac);
  status remove_neighbour(ip_address address);
  const neighbour* find_neighbour(ip_address address);

  // Of a stack that shares its addresses with the host's kernel, which has the last word on all of them.
  void mirror_addresses(std::span<const ip_prefix> all);
  // `give(i)` gives destination and route number i as a pair. ENOSPC: the table is too small; it is empty then.
  template <typename Give>
  status mirror_routes(std::size_t count, const Give& give);
  // Null: the kernel doesn't know where it is. When it isn't sure, the next datagram is its own to send, so that it
  // asks.
  void mirror_neighbour(ip_address address, const mac_address* mac, bool is_sure);
  void forget_neighbours() { neighbours_.remove_all(); }

  egress& out() { return egress_; }
  frame_store& store() { return store_; }
  pool& frames() { return link_.frames(); }
  sharing with_host() const { return with_host_; }
  const link_info& device() const { return link_.info(); }
  const local_addresses& addresses() const { return addresses_; }
  const neighbour_table& neighbours() const { return neighbours_; }
  neighbour_table& neighbours() { return neighbours_; }
  const route_table& routes() const { return routes_; }
  const path_mtu_cache& path_mtu() const { return path_mtu_; }
  const reassembly& fragments() const { return reassembly_; }
  // What the sockets of a stack that owns its addresses listen to.
  group_table& groups() { return groups_; }
  random_source& random() { return random_; }
  counters& count() { return count_; }
  // True when frames of the link run short, so that those that lie in queues are better copied out of it.
  bool frames_are_scarce();

 private:
  stack(link& device, counters& count, datagram_sink& sink, const stack_settings& settings, frame_store&& store);
  status open_tables(const stack_settings& settings);
  status add_one(const ip_prefix& address, time_point now);
  status add_link_local(time_point now);
  void claim(const ip_address& address, time_point now);
  void run_timers(time_point now);
  void receive_from_ourselves(time_point now);

  link& link_;
  counters& count_;
  random_source random_;
  frame_store store_;
  bool announce_;
  sharing with_host_;
  local_addresses addresses_;
  route_table routes_;
  neighbour_table neighbours_;
  path_mtu_cache path_mtu_;
  rate_limiter icmp_limit_;
  igmp_host igmp_;
  mld_host mld_;
  group_table groups_;
  arp_responder arp_;
  ndp_responder ndp_;
  egress egress_;
  autoconfiguration auto_;
  router_discovery routers_;
  icmp_host icmp_;
  icmpv6_host icmpv6_;
  ingress ingress_;
  reassembly reassembly_;
  burst received_;
};

template <typename Give>
status stack::mirror_routes(std::size_t count, const Give& give) {
  egress_.invalidate_paths();
  if (auto cleared = routes_.clear(); !cleared) return cleared;
  for (std::size_t i = 0; i < count; ++i) {
    const auto [destination, way] = give(i);
    if (auto added = routes_.set(destination, way); !added) return added;
  }
  return {};
}

}  // namespace fastudp
