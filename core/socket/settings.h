#pragma once
// What socket options change: plain values, with Linux's defaults.

#include <cstdint>

#include "base/address.h"
#include "base/time.h"
#include "socket/timestamps.h"

namespace fastudp {

// Limits that the host's administrator sets for kernel sockets (net.core.rmem_default and so on), and ours with them.
struct buffer_limits {
  std::uint32_t receive_default = 212'992, receive_max = 212'992;
  std::uint32_t send_default = 212'992, send_max = 212'992;
};

// Linux's rt_tos2priority: what a type of service (RFC 1349) is worth as SO_PRIORITY.
constexpr int priority_of_tos(std::uint8_t tos) {
  constexpr int best_effort = 0, bulk = 2, interactive = 6, interactive_bulk = 4;
  constexpr int by_delay_and_throughput[] = {best_effort, bulk, interactive, interactive_bulk};
  return by_delay_and_throughput[tos >> 3 & 3];
}
// What 802.1Q can carry of a priority: Linux puts none above 7 into a tag either.
constexpr std::uint8_t priority_on_link(int priority) {
  return priority >= 0 && priority <= 7 ? static_cast<std::uint8_t>(priority) : std::uint8_t{0};
}

struct socket_settings {
  std::uint32_t receive_buffer = 212'992, send_buffer = 212'992;
  int receive_low_water = 1;
  duration receive_timeout = never, send_timeout = never;
  bool broadcast = false;
  int ttl = -1;  // -1: the host's default
  int multicast_ttl = 1;
  bool multicast_loop = true;
  // Also what is sent to groups that other sockets of this host are in (IP_MULTICAST_ALL).
  bool multicast_all = true;
  ip_address multicast_source = ip_address::any(ip_family::v4);  // IP_MULTICAST_IF; any: the stack's choice
  std::uint8_t tos = 0;
  int priority = 0;      // SO_PRIORITY
  int mtu_discover = 1;  // IP_PMTUDISC_WANT
  bool receive_errors = false;
  bool receive_packet_info = false, receive_ttl = false, receive_tos = false;
  std::uint16_t segment = 0;    // UDP_SEGMENT; 0: a send is one datagram
  bool receive_joined = false;  // UDP_GRO
  bool corked = false;          // UDP_CORK
  bool zero_copy = false;       // SO_ZEROCOPY
  stamp_settings stamps;
  bool receive_drops = false;       // SO_RXQ_OVFL
  bool receive_mark = false;        // SO_RCVMARK
  bool select_error_queue = false;  // SO_SELECT_ERR_QUEUE
  bool no_checksum = false;         // SO_NO_CHECK: none is sent over IPv4
  int peek_offset = -1;             // SO_PEEK_OFF, in bytes of all that is queued; negative: none
  bool receive_original = false;    // IP_RECVORIGDSTADDR

  // Of IPv6 sockets, for datagrams over IPv6; what is above holds for those over IPv4.
  struct ipv6 {
    int hops = -1;  // -1: the host's default
    int multicast_hops = 1;
    bool multicast_loop = true, multicast_all = true;
    int multicast_interface = 0;
    std::uint8_t traffic_class = 0;
    int mtu_discover = 1;  // IPV6_PMTUDISC_WANT
    bool dont_fragment = false, automatic_flow_label = true;
    bool receive_errors = false;
    bool receive_packet_info = false, receive_hops = false, receive_traffic_class = false;
    bool receive_packet_info_2292 = false, receive_hops_2292 = false;  // the same by RFC 2292's numbers
    bool receive_original = false;                                     // IPV6_RECVORIGDSTADDR
  } v6;

  // Whether anything is to be said of a datagram in control messages.
  bool wants_facts() const {
    return receive_packet_info || receive_ttl || receive_tos || receive_original || v6.receive_original ||
           v6.receive_packet_info || v6.receive_hops || v6.receive_traffic_class || v6.receive_packet_info_2292 ||
           v6.receive_hops_2292;
  }
  bool wants_control() const {
    return receive_joined || stamps.any() || receive_drops || receive_mark || wants_facts();
  }
};

inline constexpr std::uint8_t default_ttl = 64;

}  // namespace fastudp
