#pragma once
// What the Linux host knows of its network, mirrored by netlink: addresses, routes, neighbours, one interface's state.

#include <cstdint>
#include <memory>
#include <span>

#include "base/address.h"
#include "base/descriptor.h"
#include "base/reason.h"
#include "base/result.h"
#include "host/growing.h"
#include "host/netlink.h"

namespace fastudp {

// The way that the host's main table has for a destination.
struct host_route {
  ip_prefix destination;
  int interface = 0;      // 0: the kernel has more to say than one way out (several hops, blackhole, …)
  ip_address gateway;     // any: on-link
  ip_address source;      // preferred; any: none said
  std::uint32_t mtu = 0;  // of the route; 0: the interface's
};

struct host_interface {
  mac_address mac;
  std::uint32_t mtu = 0;
  bool is_up = false;  // administratively, and with a carrier
  bool is_ethernet = false;
  bool is_gone = false;  // deleted, or moved to another namespace: nothing else is told then
};

// What changed, in base types. Called from mirror::open and mirror::update only.
class mirror_events {
 public:
  // All addresses of the host, loopback's left out; `interface` is where each one is.
  struct address {
    ip_prefix prefix;
    int interface = 0;
  };
  virtual void addresses_are(std::span<const address> all) = 0;
  // All of the main table, the best of each prefix; none of a family that has other rules than Linux's default ones,
  // since then the table doesn't say where a datagram goes.
  virtual void routes_are(std::span<const host_route> all) = 0;
  // A neighbour on our interface: where it is, or null when the kernel doesn't know (no entry, INCOMPLETE, FAILED).
  // `is_sure`: it was heard of lately, or is being asked; otherwise it is STALE, and Linux begins to ask when it has
  // something to send.
  virtual void neighbour_is(ip_address address, const mac_address* mac, bool is_sure) = 0;
  virtual void interface_is(const host_interface& state) = 0;
  // The kernel dropped notifications: everything is told again right after this; neighbours that aren't are gone.
  virtual void starts_over() = 0;

 protected:
  ~mirror_events() = default;
};

class mirror {
 public:
  // Mirrors the interface with this number, and tells everything that is there now. ENODEV: no such interface.
  static result<std::unique_ptr<mirror>> open(int interface, mirror_events& events, reason& why);

  // Readable when update() has something to tell.
  int wait_fd() const { return notifications_.number(); }
  // Takes in what has happened since; never waits. Needs no privilege.
  void update();

 private:
  // What has to be asked for again; neighbours and links tell their own changes.
  enum part : unsigned { addresses = 1, routes = 2, neighbours = 4, everything = 7 };

  mirror(int interface, mirror_events& events) : interface_(interface), events_(events) {}
  unsigned hear(const netlink::message& what);
  void tell(unsigned parts);
  void tell_addresses();
  void tell_routes();
  bool has_only_default_rules(unsigned char family);
  void add_routes(unsigned char family, growing<host_route>& best);
  void tell_neighbours();
  status tell_interface();
  void tell_neighbour(const netlink::message& what);
  void tell_interface(const netlink::message& what);
  // `Header` is what the request carries: only its first byte, the family, is asked about.
  template <typename Header, typename Visit>
  status dump(std::uint16_t type, unsigned char family, const Visit& visit);

  int interface_;
  mirror_events& events_;
  descriptor notifications_, questions_;
  std::uint32_t sequence_ = 0;
  bool found_ = false;
};

}  // namespace fastudp
