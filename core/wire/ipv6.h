#pragma once
// The Internet Protocol, version 6 (RFC 8200), and the layouts of its
// extension headers.

#include "wire/ipv4.h"
#include "wire/schema.h"

namespace fastudp {

template <>
inline constexpr bool is_byte_field<ipv6_address> = true;

struct ipv6 {
  // The first word: four bits of version, eight of traffic class (RFC 2474 and 3168: six of DSCP, two of ECN), twenty
  // of flow label. They cross the bytes, and are written together.
  static constexpr std::uint32_t first_word(std::uint8_t traffic_class, std::uint32_t flow_label) {
    return 6u << 28 | std::uint32_t{traffic_class} << 20 | (flow_label & 0xfffff);
  }
  static constexpr std::uint8_t version_of(std::uint32_t first) { return static_cast<std::uint8_t>(first >> 28); }
  static constexpr std::uint8_t traffic_class_of(std::uint32_t first) { return static_cast<std::uint8_t>(first >> 20); }
  static constexpr std::uint32_t flow_label_of(std::uint32_t first) { return first & 0xfffff; }

  u<32> first = first_word(0, 0);
  u<16> payload_length = 0;
  as<ip_protocol, 8> next_header = {};
  u<8> hop_limit = 64;
  ipv6_address source = {};
  ipv6_address destination = {};

  friend bool operator==(const ipv6&, const ipv6&) = default;
};

// What hop-by-hop options, destination options and routing headers have in common (RFC 8200 4.3, 4.4, 4.6): the length
// counts units of eight bytes behind the first.
struct ipv6_extension {
  as<ip_protocol, 8> next_header = {};
  u<8> length = 0;
  u<8> first_byte = 0;   // a routing header's type
  u<8> second_byte = 0;  // its segments left
  u<32> rest = 0;

  friend bool operator==(const ipv6_extension&, const ipv6_extension&) = default;
};

// RFC 8200 4.5
struct ipv6_fragment {
  static constexpr std::uint16_t offset_bits = 0xfff8, more = 1;

  as<ip_protocol, 8> next_header = {};
  u<8> reserved = 0;
  u<16> place = 0;  // the offset in bytes, of which the low three bits are others'; the lowest says that more follows
  u<32> identification = 0;

  friend bool operator==(const ipv6_fragment&, const ipv6_fragment&) = default;
};

}  // namespace fastudp
