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
  out.source_v4 = source;
  out.has_v4_source = true;
  // For a datagram of IPv6 it means nothing, unlike to one of IPv4.
  out.is_ambiguous |= info.ipi_ifindex != 0 && out.interface != 0 && info.ipi_ifindex != out.interface;
  if (info.ipi_ifindex != 0) out.interface = info.ipi_ifindex;
  return {};
}

status read_packet_info_v6(const std::byte* value, std::size_t size, send_choices& out) {
  in6_pktinfo info;
  if (size < sizeof info) return error{EINVAL};
  std::memcpy(&info, value, sizeof info);
  const auto interface = static_cast<int>(info.ipi6_ifindex);
  out.is_ambiguous |= out.is_v6_said;
  out.is_v6_said = true;
  out.is_ambiguous |= interface != 0 && out.interface != 0 && out.interface != interface;
  if (interface != 0) out.interface = interface;
  ip_address source;
  std::memcpy(source.bytes.data(), &info.ipi6_addr, source.bytes.size());
  if (source.is_v4()) {
    out.source_v4 = source;
    out.has_v4_source = true;
  } else if (!source.is_any()) {
    out.source = source;
  }
  out.has_v6_source |= !source.is_v4();
  return {};
}

// Linux: -1 is the socket's own.
status read_v6_integer(const std::byte* value, std::size_t size, int& out) {
  if (size != sizeof out) return error{EINVAL};
  std::memcpy(&out, value, sizeof out);
  return out >= -1 && out <= 255 ? status{} : error{EINVAL};
}

// Linux sends all bits then.
status read_traffic_class(const std::byte* value, std::size_t size, int& out) {
  const auto read = read_v6_integer(value, size, out);
  if (read && out == -1) out = 255;
  return read;
}

status read_v6(int type, const std::byte* value, std::size_t size, send_choices& out) {
  out.is_ambiguous |= type == IPV6_2292PKTINFO || type == IPV6_2292HOPLIMIT;
  switch (type) {
    case IPV6_PKTINFO:
    case IPV6_2292PKTINFO:
      return read_packet_info_v6(value, size, out);
    case IPV6_HOPLIMIT:
    case IPV6_2292HOPLIMIT:
      return read_v6_integer(value, size, out.hops);
    case IPV6_TCLASS:
      return read_traffic_class(value, size, out.traffic_class);
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

status read_word(const std::byte* value, std::size_t size, std::int64_t& out) {
  std::uint32_t word;
  if (size != sizeof word) return error{EINVAL};
  std::memcpy(&word, value, sizeof word);
  out = word;
  return {};
}

status read_of_socket(int type, const std::byte* value, std::size_t size, send_choices& out) {
  switch (type) {
    case stamp_option::old_flags:
    case stamp_option::new_flags:
      if (auto read = read_word(value, size, out.stamps); !read) return read;
      return (out.stamps & ~std::int64_t{stamping::of_one_send}) == 0 ? status{} : error{EINVAL};
    case stamp_option::id:
      return read_word(value, size, out.stamp_id);
    default:
      return error{EINVAL};
  }
}

status read_one(const cmsghdr& header, const std::byte* value, std::size_t size, ip_family family, send_choices& out) {
  if (header.cmsg_level == IPPROTO_IPV6 && family == ip_family::v6) return read_v6(header.cmsg_type, value, size, out);
  if (header.cmsg_level == SOL_SOCKET) return read_of_socket(header.cmsg_type, value, size, out);
  if (header.cmsg_level == IPPROTO_UDP) return read_udp(header.cmsg_type, value, size, out);
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
  const ip_address source = choices.source_over(over);
  if (is_v4 && (choices.interface != 0 || choices.has_v4_source)) {
    in_pktinfo info{};
    info.ipi_ifindex = choices.interface;
    info.ipi_spec_dst = std::bit_cast<in_addr>(source.ipv4());
    out.put(IPPROTO_IP, IP_PKTINFO, info);
  }
  if (is_v4 && choices.ttl >= 0) out.put(IPPROTO_IP, IP_TTL, choices.ttl);
  if (is_v4 && choices.tos >= 0) out.put(IPPROTO_IP, IP_TOS, choices.tos);
  if (!is_v4 && (choices.interface != 0 || !source.is_any())) {
    out.put(IPPROTO_IPV6, IPV6_PKTINFO,
            in6_pktinfo{.ipi6_addr = std::bit_cast<in6_addr>(source.bytes),
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

std::span<std::byte> with_stamp_id(std::span<std::byte> control, std::uint32_t id, std::span<std::byte> room) {
  const std::size_t before = CMSG_ALIGN(control.size());
  if (before + CMSG_SPACE(sizeof id) > room.size()) return control;
  if (!control.empty()) std::memcpy(room.data(), control.data(), control.size());
  std::memset(room.data() + control.size(), 0, before - control.size());
  const cmsghdr header{.cmsg_len = CMSG_LEN(sizeof id), .cmsg_level = SOL_SOCKET, .cmsg_type = stamp_option::id};
  std::memcpy(room.data() + before, &header, sizeof header);
  std::memcpy(room.data() + before + sizeof header, &id, sizeof id);
  return room.first(before + CMSG_SPACE(sizeof id));
}

std::span<std::byte> with_more_drops(std::span<std::byte> control, std::uint32_t more, std::span<std::byte> room) {
  for (auto rest = control; rest.size() >= CMSG_LEN(sizeof more);) {
    cmsghdr header;
    std::memcpy(&header, rest.data(), sizeof header);
    if (header.cmsg_level == SOL_SOCKET && header.cmsg_type == SO_RXQ_OVFL) {
      std::uint32_t said;
      std::memcpy(&said, rest.data() + sizeof header, sizeof said);
      said += more;
      std::memcpy(rest.data() + sizeof header, &said, sizeof said);
      return control;
    }
    rest = rest.subspan(std::min<std::size_t>(CMSG_ALIGN(std::max<std::size_t>(header.cmsg_len, 1)), rest.size()));
  }
  control_writer out(room.subspan(control.size()));
  out.put(SOL_SOCKET, SO_RXQ_OVFL, more);
  return room.first(control.size() + out.size());
}

}  // namespace fastudp
