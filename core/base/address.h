#pragma once
// Link and network addresses: values in network order, exactly as they stand on the wire.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/byte_order.h"

namespace fastudp {

struct mac_address {
  std::array<std::uint8_t, 6> bytes{};

  friend constexpr bool operator==(const mac_address& a, const mac_address& b) { return a.number() == b.number(); }
  constexpr std::uint64_t number() const {  // the first byte is the most significant
    std::uint64_t out = 0;
    for (const std::uint8_t byte : bytes) out = out << 8 | byte;
    return out;
  }
  bool is_group() const { return bytes[0] & 1; }
  bool is_zero() const { return number() == 0; }
};

inline constexpr mac_address broadcast_mac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

struct ipv4_address {
  std::array<std::uint8_t, 4> bytes{};

  friend constexpr bool operator==(const ipv4_address& a, const ipv4_address& b) { return a.number() == b.number(); }
  static constexpr ipv4_address from_number(std::uint32_t host_order) {
    return {{static_cast<std::uint8_t>(host_order >> 24), static_cast<std::uint8_t>(host_order >> 16),
             static_cast<std::uint8_t>(host_order >> 8), static_cast<std::uint8_t>(host_order)}};
  }
  constexpr std::uint32_t number() const {  // host order: 10.0.0.1 is 0x0a000001
    return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 | bytes[3];
  }
  constexpr bool is_any() const { return number() == 0; }
  constexpr bool is_loopback() const { return bytes[0] == 127; }
  constexpr bool is_multicast() const { return (bytes[0] & 0xf0) == 0xe0; }
  constexpr bool is_limited_broadcast() const { return number() == 0xffffffff; }
  constexpr bool is_reserved() const { return (bytes[0] & 0xf0) == 0xf0; }  // class E, and the limited broadcast
};

// Either family in one key: IPv4 stands in its IPv4-mapped form, ::ffff:a.b.c.d (RFC 4291 2.5.5.2).
struct ip_address {
  std::array<std::uint8_t, 16> bytes{};

  constexpr ip_address() = default;
  constexpr ip_address(ipv4_address v4) {
    bytes[10] = bytes[11] = 0xff;
    for (std::size_t i = 0; i < 4; ++i) bytes[12 + i] = v4.bytes[i];
  }
  friend bool operator==(const ip_address&, const ip_address&) = default;
  constexpr ipv4_address ipv4() const { return {{bytes[12], bytes[13], bytes[14], bytes[15]}}; }
};

// An address and a port: one end of a UDP conversation.
struct endpoint_address {
  ipv4_address address;
  std::uint16_t port = 0;

  friend bool operator==(const endpoint_address&, const endpoint_address&) = default;
};

struct ipv4_prefix {
  ipv4_address address;  // as written: 10.0.0.7/24 keeps the 7
  std::uint8_t length = 0;

  friend bool operator==(const ipv4_prefix&, const ipv4_prefix&) = default;
  constexpr std::uint32_t mask() const { return length == 0 ? 0 : ~std::uint32_t{0} << (32 - length); }
  constexpr bool contains(ipv4_address other) const { return ((other.number() ^ address.number()) & mask()) == 0; }
  constexpr ipv4_address network() const { return ipv4_address::from_number(address.number() & mask()); }
  constexpr ipv4_address broadcast() const { return ipv4_address::from_number(address.number() | ~mask()); }
};

// Text forms. Parsing accepts the whole text or nothing: "10.0.0.1", "10.0.0.1/24", "02:00:00:00:00:01".
std::optional<mac_address> parse_mac(std::string_view text);
std::optional<ipv4_address> parse_ipv4(std::string_view text);
std::optional<ipv4_prefix> parse_ipv4_prefix(std::string_view text);

// "10.0.0.1"; the buffer holds the longest form and its terminator.
struct address_text {
  std::array<char, 24> chars{};
  const char* c_str() const { return chars.data(); }
};
address_text to_text(ipv4_address address);
address_text to_text(const mac_address& address);

}  // namespace fastudp
