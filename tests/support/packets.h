#pragma once
// Frames for tests, layer by layer as strings of bytes, written by the protocols' own schemas; and back again. A test
// that wants something broken breaks it afterwards.

#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "stack/flow.h"
#include "wire/arp.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/icmpv4.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/udp.h"

namespace fastudp::test {

inline std::span<std::byte> octets(std::string& text) { return std::as_writable_bytes(std::span(text)); }
inline std::span<const std::byte> octets(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A header and what follows it.
template <typename Header>
std::string packet_of(const Header& header, std::string_view payload) {
  std::string out(fixed_size<Header>, '\0');
  store(header, octets(out));
  return out.append(payload);
}

inline std::string ethernet_frame(const mac_address& to, const mac_address& from, ether_type type,
                                  std::string_view payload) {
  return packet_of(ethernet{.destination = to, .source = from, .type = type}, payload);
}

inline void fix_ip_checksum(std::string& packet) {
  const auto m = *mutable_view<ipv4>::parse(octets(packet));
  m.set<&ipv4::checksum>(0);
  m.set<&ipv4::checksum>(checksum(m.header()));
}

// Length and checksum are filled in.
inline std::string ip_packet(ipv4 header, std::string_view payload) {
  header.total_length = u<16>::masked(fixed_size<ipv4> + payload.size());
  std::string out = packet_of(header, payload);
  fix_ip_checksum(out);
  return out;
}

// `where` from the receiver's point of view.
inline std::string udp_segment(const flow& where, std::string_view payload) {
  const auto length = static_cast<std::uint16_t>(fixed_size<udp> + payload.size());
  std::string out =
      packet_of(udp{.source_port = where.remote.port, .destination_port = where.local.port, .length = length}, payload);
  auto sum = pseudo_header_sum(where.remote.address, where.local.address, 17, length);
  sum.add(octets(std::string_view(out)));
  mutable_view<udp>::parse(octets(out))->set<&udp::checksum>(as_udp_checksum(sum.finish()));
  return out;
}

inline std::string udp_packet(const flow& where, std::string_view payload) {
  return ip_packet(
      {.protocol = ip_protocol::udp, .source = where.remote.address.ipv4(), .destination = where.local.address.ipv4()},
      udp_segment(where, payload));
}

inline std::string icmp_message(icmpv4 header, std::string_view payload) {
  std::string out = packet_of(header, payload);
  mutable_view<icmpv4>::parse(octets(out))->set<&icmpv4::checksum>(checksum(octets(std::string_view(out))));
  return out;
}

inline std::string icmp_packet(const ip_address& from, const ip_address& to, const icmpv4& header,
                               std::string_view payload) {
  return ip_packet({.protocol = ip_protocol::icmp, .source = from.ipv4(), .destination = to.ipv4()},
                   icmp_message(header, payload));
}

// An error about a packet that `to` has sent.
inline std::string icmp_error(const ip_address& from, const ip_address& to, icmpv4_type type, std::uint8_t code,
                              std::string_view quoted, std::uint32_t rest = 0) {
  return icmp_packet(from, to, {.type = type, .code = code, .rest = rest}, quoted);
}

inline std::string ipv6_packet(const ip_address& from, const ip_address& to, ip_protocol next, std::string_view payload,
                               std::uint8_t hops = 64) {
  return packet_of(ipv6{.payload_length = u<16>::masked(payload.size()),
                        .next_header = next,
                        .hop_limit = hops,
                        .source = from.ipv6(),
                        .destination = to.ipv6()},
                   payload);
}

inline std::string arp_frame(const mac_address& to, const arp& message) {
  return ethernet_frame(to, message.sender_mac, ether_type::arp, packet_of(message, ""));
}

// The pieces of an IP packet without options, each with at most `step` bytes of its payload.
inline std::vector<std::string> fragments_of(std::string_view packet, std::size_t step) {
  std::vector<std::string> out;
  ipv4 header = view<ipv4>::parse(octets(packet))->value();
  const auto payload = packet.substr(fixed_size<ipv4>);
  for (std::size_t at = 0; at < payload.size(); at += step) {
    header.flags = at + step < payload.size() ? ipv4::more_fragments : u<3>{0};
    header.fragment_offset = u<13>::masked(at / 8);
    out.push_back(ip_packet(header, payload.substr(at, step)));
  }
  return out;
}

// What a test looks at in a frame that was sent. The strings are what lies behind each header.
struct seen {
  ethernet link;
  std::optional<arp> who_has;
  std::optional<ipv4> ip;
  std::optional<udp> datagram;
  std::optional<icmpv4> message;
  std::string payload;  // behind the innermost header
};

inline seen look_at(std::string_view frame) {
  seen out;
  const auto outer = view<ethernet>::parse(octets(frame));
  if (!outer) return out;
  out.link = outer->value();
  std::span<const std::byte> rest = outer->payload();
  if (out.link.type == ether_type::arp) {
    if (const auto v = view<arp>::parse(rest)) out.who_has = v->value();
    return out;
  }
  const auto inner = view<ipv4>::parse(rest);
  if (!inner) return out;
  out.ip = inner->value();
  rest = inner->payload();
  if (out.ip->fragment_offset == 0 && out.ip->protocol == ip_protocol::udp) {
    if (const auto v = view<udp>::parse(rest)) out.datagram = v->value(), rest = v->payload();
  } else if (out.ip->fragment_offset == 0 && out.ip->protocol == ip_protocol::icmp) {
    if (const auto v = view<icmpv4>::parse(rest)) out.message = v->value(), rest = v->payload();
  }
  out.payload = text_of(rest);
  return out;
}

}  // namespace fastudp::test
