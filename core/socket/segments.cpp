// UDP_SEGMENT: one payload goes out as a row of datagrams of one size, of which the last may be shorter.

#include <algorithm>
#include <cerrno>

#include "socket/udp_layer.h"
#include "socket/udp_socket.h"

namespace fastudp {

// Linux's udp_send_skb. Segments are never fragmented.
status udp_socket::check_segments(const path& way, const ip_choices& ip, std::size_t size, std::size_t segment) const {
  constexpr std::size_t most = 128;
  const std::uint32_t limit = layer_.below().out().longest_whole(way, ip);
  if (way.ip_size() + udp_size + std::min(size, segment) > limit) return error{EMSGSIZE};
  const bool has_no_checksum = way.is_v4() && settings_.no_checksum;
  return size > segment * most || has_no_checksum ? error{EINVAL} : status{};
}

// The first one's failure is the send's; what befalls the others is a loss, as on Linux.
status udp_socket::send_segments(const departure& by, std::span<const std::byte> payload, time_point now) {
  // Linux's loopback cuts up what would, with an Ethernet header, be as long as this.
  constexpr std::size_t longest_whole = 65'535;
  const bool is_one = payload.size() + udp_size + by.way->ip_size() + ethernet_size <= longest_whole;
  departure each = by;  // numbered as Linux does, so that a receiver can join them again
  auto number = static_cast<std::uint16_t>(layer_.below().random().next());
  for (std::size_t at = 0; at < payload.size(); at += by.segment) {
    packet* p = datagram_of(each, payload.subspan(at, std::min<std::size_t>(by.segment, payload.size() - at)));
    if (p == nullptr && at == 0) return error{ENOBUFS};
    if (p == nullptr) {
      layer_.count().dropped(drop::no_memory);
      continue;
    }
    if (at != 0 && is_one) p->joins = joining::always;
    each.ip.identification = number++;
    const auto sent = depart(each, p, now);
    each.stamps = 0;  // Linux tells of the first
    if (!sent && at == 0) return sent;
  }
  return {};
}

}  // namespace fastudp
