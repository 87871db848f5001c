#pragma once
// How datagrams reach one destination: looked up once, kept by the sender, revalidated by one comparison.

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/counters.h"
#include "wire/ethernet.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

namespace fastudp {

struct packet;

// `kernel`: not ours to send; the host's kernel does it, for the reason that stands beside.
enum class path_kind : std::uint8_t { unicast, broadcast, multicast, local, kernel };

// How much of what a stack does the host's kernel does as well, since the addresses are the host's. Then the kernel
// answers ARP, ping and everything else that isn't a datagram of ours, and gets what we can't or shouldn't send.
enum class sharing : std::uint8_t {
  none,       // the addresses are the stack's alone
  interface,  // one interface's traffic is ours, what stays within the host isn't
  loopback,   // what stays within this process is ours, and nothing else
};

inline constexpr std::uint32_t ethernet_size = 14, ipv4_size = 20, ipv6_size = 40, udp_size = 8;

struct path {
  std::uint64_t generation = 0;  // the stack's when this was looked up; 0 is none
  ip_address source, destination, next_hop;
  ip_address asked_source;  // the one that it was looked up with; any: the stack's choice
  path_kind kind = path_kind::unicast;
  kernel_reason why_kernel{};
  bool resolved = false;     // the Ethernet header below is complete
  bool link_sums = false;    // the link completes UDP checksums
  bool mtu_floor = false;    // a report claimed less than the smallest sensible path MTU: DF would never get through
  std::uint32_t mtu = 0;     // of the path: the interface's, or less when a router said so
  std::uint32_t secret = 0;  // of flow labels
  // A template; lengths, id, DF, TTL, TOS, flow label, checksum are patched.
  std::array<std::byte, ethernet_size + ipv6_size> headers{};

  bool is_v4() const { return destination.is_v4(); }
  std::uint32_t ip_size() const { return is_v4() ? ipv4_size : ipv6_size; }
};

// What the sender decides for each datagram.
struct ip_choices {
  ip_protocol protocol = ip_protocol::udp;
  std::uint8_t ttl = 64;
  std::uint8_t tos = 0;
  std::uint8_t priority = 0;     // 0 to 7, where the link carries one
  bool dont_fragment = true;     // as DF bit, when the datagram fits
  bool may_fragment = true;      // here, when it doesn't
  bool ignore_path_mtu = false;  // only the interface's MTU counts (IP_PMTUDISC_PROBE and _INTERFACE)
  bool loop = true;              // to a group that this host is in: a copy for ourselves
  int flow_label = -1;           // of IPv6; -1: the flow's own
  int identification = -1;       // of IPv4, where DF isn't set; -1: any
  std::uint32_t ports = 0;       // both, so that a flow has a label of its own (RFC 6437)
  packet** keep = nullptr;       // gets a copy of the frame, of fragments the first one's; null: there was no memory
};

}  // namespace fastudp
