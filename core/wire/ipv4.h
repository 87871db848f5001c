#pragma once
// The Internet Protocol, version 4 (RFC 791, RFC 2474 and 3168 for the second byte).

#include "wire/schema.h"

namespace fastudp {

enum class ip_protocol : std::uint8_t {
  hop_by_hop = 0,
  icmp = 1,
  igmp = 2,
  tcp = 6,
  udp = 17,
  routing = 43,
  fragment = 44,
  gre = 47,
  icmpv6 = 58,
  no_next_header = 59,
  destination_options = 60,
};

struct ipv4 {
  static constexpr u<3> dont_fragment = 0b010;
  static constexpr u<3> more_fragments = 0b001;

  u<4> version = 4;
  u<4> ihl = 5;
  u<6> dscp = 0;
  u<2> ecn = 0;
  u<16> total_length = 0;
  u<16> identification = 0;
  u<3> flags = 0;
  u<13> fragment_offset = 0;
  u<8> ttl = 64;
  as<ip_protocol, 8> protocol = {};
  u<16> checksum = 0;
  ipv4_address source = {};
  ipv4_address destination = {};
  var<bytes<&ipv4::ihl, 4, -20>> options = {};

  friend bool operator==(const ipv4&, const ipv4&) = default;
};

// By the first byte of a packet.
constexpr bool is_ipv4(std::byte first) { return (first >> 4) == std::byte{4}; }

}  // namespace fastudp
