#include "endpoint/control.h"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>

namespace fastudp {
namespace {

status read_packet_info(const std::byte* value, std::size_t size, send_choices& out) {
  in_pktinfo info;
  if (size != sizeof info) return error{EINVAL};
  std::memcpy(&info, value, sizeof info);
  ipv4_address source;
  std::memcpy(source.bytes.data(), &info.ipi_spec_dst, source.bytes.size());
  out.source = source;
  out.interface = info.ipi_ifindex;
  return {};
}

status read_packet_info_v6(const std::byte* value, std::size_t size, send_choices& out) {
  in6_pktinfo info;
  if (size < sizeof info) return error{EINVAL};
  std::memcpy(&info, value, sizeof info);
  std::memcpy(out.source.bytes.data(), &info.ipi6_addr, out.source.bytes.size());
  out.interface = static_cast<int>(info.ipi6_ifindex);
  return {};
}

// Linux: -1 is the socket's own.
status read_v6_integer(const std::byte* value, std::size_t size, int& out) {
  if (size != sizeof out) return error{EINVAL};
  std::memcpy(&out, value, sizeof out);
  return out >= -1 && out <= 255 ? status{} : error{EINVAL};
}

status read_v6(int type, const std::byte* value, std::size_t size, send_choices& out) {
  switch (type) {
    case IPV6_PKTINFO:
    case IPV6_2292PKTINFO:
      return read_packet_info_v6(value, size, out);
    case IPV6_HOPLIMIT:
    case IPV6_2292HOPLIMIT:
      return read_v6_integer(value, size, out.hops);
    case IPV6_TCLASS:
      return read_v6_integer(value, size, out.traffic_class);
    default:
      return error{EINVAL};
  }
}

status read_integer(const std::byte* value, std::size_t size, int low, int& out) {
  if (size == 1) {
    out = static_cast<int>(*value);
  } else if (size == sizeof out) {
    std::memcpy(&out, value, sizeof out);
  } else {
    return error{EINVAL};
  }
  return out >= low && out <= 255 ? status{} : error{EINVAL};
}

status read_udp(int type, const std::byte* value, std::size_t size, send_choices& out) {
  std::uint16_t segment;
  if (type != UDP_SEGMENT || size != sizeof segment) return error{EINVAL};
  std::memcpy(&segment, value, sizeof segment);
  out.segment = segment;
  return {};
}

status read_one(const cmsghdr& header, const std::byte* value, std::size_t size, ip_family family, send_choices& out) {
  if (header.cmsg_level == IPPROTO_IPV6 && family == ip_family::v6) return read_v6(header.cmsg_type, value, size, out);
  if (header.cmsg_level == IPPROTO_UDP) return read_udp(header.cmsg_type, value, size, out);
  if (header.cmsg_level == SOL_SOCKET) return error{EINVAL};
  if (header.cmsg_level != IPPROTO_IP) return {};  // Linux passes over what is for other protocols
  switch (header.cmsg_type) {
    case IP_PKTINFO:
      return read_packet_info(value, size, out);
    case IP_TTL:
      return size == sizeof(int) ? read_integer(value, size, 1, out.ttl) : error{EINVAL};
    case IP_TOS:
      return read_integer(value, size, 0, out.tos);
    default:
      return error{EINVAL};
  }
}

}  // namespace

void control_writer::put_bytes(int level, int type, const void* value, std::size_t size) {
  const std::size_t left = room_.size() - used_;
  if (left < sizeof(cmsghdr)) {
    truncated_ = true;
    return;
  }
  const std::size_t wanted = CMSG_LEN(size), written = std::min(wanted, left);
  if (written < wanted) truncated_ = true;
  const cmsghdr header{.cmsg_len = written, .cmsg_level = level, .cmsg_type = type};
  std::memcpy(room_.data() + used_, &header, sizeof header);
  std::memcpy(room_.data() + used_ + sizeof header, value, written - sizeof header);
  used_ += std::min(CMSG_SPACE(size), left);
}

std::span<std::byte> write_control(const send_choices& choices, ip_family over, std::span<std::byte> room) {
  control_writer out(room);
  if (choices.segment >= 0) out.put(IPPROTO_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(choices.segment));
  const bool is_v4 = over == ip_family::v4;
  if (is_v4 && (choices.interface != 0 || !choices.source.is_any())) {
    in_pktinfo info{};
    info.ipi_ifindex = choices.interface;
    if (!choices.source.is_any()) info.ipi_spec_dst = std::bit_cast<in_addr>(choices.source.ipv4());
    out.put(IPPROTO_IP, IP_PKTINFO, info);
  }
  if (is_v4 && choices.ttl >= 0) out.put(IPPROTO_IP, IP_TTL, choices.ttl);
  if (is_v4 && choices.tos >= 0) out.put(IPPROTO_IP, IP_TOS, choices.tos);
  if (!is_v4 && (choices.interface != 0 || !choices.source.is_any())) {
    out.put(IPPROTO_IPV6, IPV6_PKTINFO,
            in6_pktinfo{.ipi6_addr = std::bit_cast<in6_addr>(choices.source.bytes),
                        .ipi6_ifindex = static_cast<unsigned>(choices.interface)});
  }
  if (!is_v4 && choices.hops >= 0) out.put(IPPROTO_IPV6, IPV6_HOPLIMIT, choices.hops);
  if (!is_v4 && choices.traffic_class >= 0) out.put(IPPROTO_IPV6, IPV6_TCLASS, choices.traffic_class);
  return room.first(out.size());
}

int joined_size(std::span<const std::byte> control) {
  while (control.size() >= sizeof(cmsghdr)) {
    cmsghdr header;
    int out;
    std::memcpy(&header, control.data(), sizeof header);
    if (header.cmsg_len < sizeof header || header.cmsg_len > control.size()) return 0;
    if (header.cmsg_level == IPPROTO_UDP && header.cmsg_type == UDP_GRO && header.cmsg_len == CMSG_LEN(sizeof out)) {
      std::memcpy(&out, control.data() + sizeof header, sizeof out);
      return out;
    }
    control = control.subspan(std::min<std::size_t>(CMSG_ALIGN(header.cmsg_len), control.size()));
  }
  return 0;
}

send_choices read_control(std::span<const std::byte> control, ip_family family) {
  send_choices out;
  while (control.size() >= sizeof(cmsghdr)) {
    cmsghdr header;
    std::memcpy(&header, control.data(), sizeof header);
    if (header.cmsg_len < sizeof header || header.cmsg_len > control.size()) return {.refusal = EINVAL};
    const auto outcome = read_one(header, control.data() + sizeof header, header.cmsg_len - sizeof header, family, out);
    if (!outcome) return {.refusal = outcome.code()};
    control = control.subspan(std::min<std::size_t>(CMSG_ALIGN(header.cmsg_len), control.size()));
  }
  return out;
}

}  // namespace fastudp
