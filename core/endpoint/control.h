#pragma once
// Control messages in Linux's cmsg layout: written on receive, read on send.

#include <sys/socket.h>

#include <cstddef>
#include <cstring>
#include <span>

#include "base/result.h"
#include "socket/udp_socket.h"

namespace fastudp {

class control_writer {
 public:
  explicit control_writer(std::span<std::byte> room) : room_(room) {}

  // As put_cmsg of Linux: what doesn't fit is cut, and said to be.
  template <typename T>
  void put(int level, int type, const T& value) {
    put_bytes(level, type, &value, sizeof value);
  }
  std::size_t size() const { return used_; }
  bool is_truncated() const { return truncated_; }

 private:
  void put_bytes(int level, int type, const void* value, std::size_t size);

  std::span<std::byte> room_;
  std::size_t used_ = 0;
  bool truncated_ = false;
};

// SO_TIMESTAMPING, SCM_TS_OPT_ID and SO_PRIORITY; UDP_SEGMENT; IP_PKTINFO, IP_TTL and IP_TOS; for a socket of IPv6
// IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_TCLASS, IPV6_FLOWINFO and IPV6_DONTFRAG as well, the first two also by RFC 2292's
// numbers. Refused with EINVAL: a message that UDP doesn't know, or of a wrong size.
send_choices read_control(std::span<const std::byte> control, ip_family family);

// The same to be read by Linux: what was chosen for a datagram over one of the families.
std::span<std::byte> write_control(const send_choices& choices, ip_family over, std::span<std::byte> room);

// Of received control messages: what UDP_GRO says that each of several datagrams has; 0: there is one.
int joined_size(std::span<const std::byte> control);
// Adds to what SO_RXQ_OVFL's message says has been lost, or says it; `room` is what `control` is the used part of.
std::span<std::byte> with_more_drops(std::span<std::byte> control, std::uint32_t more, std::span<std::byte> room);

// A copy with the number by which the datagram's stamps are told added; as it is when `room` is too small.
std::span<std::byte> with_stamp_id(std::span<std::byte> control, std::uint32_t id, std::span<std::byte> room);

}  // namespace fastudp
