#pragma once
// Link and network addresses: values in network order, exactly as they stand on the wire.

#include <array>
#include <bit>
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

struct ipv6_address {
  std::array<std::uint8_t, 16> bytes{};

  friend bool operator==(const ipv6_address&, const ipv6_address&) = default;
};

enum class ip_family : std::uint8_t { v4, v6 };

// An address of either family: IPv4 stands in its IPv4-mapped form, ::ffff:a.b.c.d (RFC 4291 2.5.5.2), which is also
// how an IPv6 socket of Linux's sees it. The default is IPv6's any address.
struct ip_address {
  std::array<std::uint8_t, 16> bytes{};
  using halves = std::array<std::uint64_t, 2>;

  constexpr ip_address() = default;
  constexpr ip_address(ipv6_address v6) : bytes(v6.bytes) {}
  // In two words, so that who reads it in two needn't wait for many small stores.
  constexpr ip_address(ipv4_address v4) {
    const auto mapped = std::bit_cast<std::uint32_t>(std::array<std::uint8_t, 4>{0, 0, 0xff, 0xff});
    const std::array<std::uint32_t, 4> words{0, 0, mapped, std::bit_cast<std::uint32_t>(v4.bytes)};
    bytes = std::bit_cast<std::array<std::uint8_t, 16>>(words);
  }
  static constexpr ip_address any(ip_family family) {
    return family == ip_family::v4 ? ip_address(ipv4_address{}) : ip_address();
  }

  friend constexpr bool operator==(const ip_address& a, const ip_address& b) {
    const auto x = std::bit_cast<halves>(a.bytes), y = std::bit_cast<halves>(b.bytes);
    return x[0] == y[0] && x[1] == y[1];
  }
  // Halves in host order: the first byte is the most significant of high().
  constexpr std::uint64_t high() const { return network_order(std::bit_cast<halves>(bytes)[0]); }
  constexpr std::uint64_t low() const { return network_order(std::bit_cast<halves>(bytes)[1]); }

  constexpr bool is_v4() const {
    constexpr std::array<std::uint8_t, 4> mapped{0, 0, 0xff, 0xff};
    const auto words = std::bit_cast<std::array<std::uint32_t, 4>>(bytes);
    return (words[0] | words[1]) == 0 && words[2] == std::bit_cast<std::uint32_t>(mapped);
  }
  constexpr ip_family family() const { return is_v4() ? ip_family::v4 : ip_family::v6; }
  constexpr ipv4_address ipv4() const { return {{bytes[12], bytes[13], bytes[14], bytes[15]}}; }
  constexpr ipv6_address ipv6() const { return {bytes}; }

  constexpr bool is_any() const { return high() == 0 && (low() == 0 || low() == mapped_any); }
  constexpr bool is_loopback() const { return is_v4() ? ipv4().is_loopback() : high() == 0 && low() == 1; }
  constexpr bool is_multicast() const { return is_v4() ? ipv4().is_multicast() : bytes[0] == 0xff; }
  constexpr bool is_limited_broadcast() const { return is_v4() && ipv4().is_limited_broadcast(); }
  constexpr bool is_reserved() const { return is_v4() && ipv4().is_reserved(); }
  // RFC 4291 2.5.6 and 2.7: of IPv6, and of its groups, those that mean nothing without an interface.
  constexpr bool is_link_local() const { return high() >> 54 == 0xfe80 >> 6; }
  constexpr bool is_interface_local_group() const { return bytes[0] == 0xff && (bytes[1] & 0xf) <= 1; }
  constexpr bool is_link_local_group() const {
    return bytes[0] == 0xff && ((bytes[1] & 0xf) == 1 || (bytes[1] & 0xf) == 2);
  }
  constexpr bool needs_interface() const { return is_link_local() || is_link_local_group(); }

 private:
  static constexpr std::uint64_t mapped_any = 0xffff'0000'0000;
};

// RFC 4291 2.7.1: the group that who looks for an address on the link asks.
constexpr ip_address solicited_node_group(const ip_address& of) {
  ipv6_address out{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff}};
  for (std::size_t i = 13; i < 16; ++i) out.bytes[i] = of.bytes[i];
  return out;
}
// Where frames to a group go: RFC 1112 6.4, the low 23 bits of the group; RFC 2464 7, the low 32.
constexpr mac_address group_mac(const ip_address& group) {
  const auto& b = group.bytes;
  if (!group.is_v4()) return {{0x33, 0x33, b[12], b[13], b[14], b[15]}};
  return {{0x01, 0x00, 0x5e, static_cast<std::uint8_t>(b[13] & 0x7f), b[14], b[15]}};
}
inline constexpr ip_address all_systems_group{ipv4_address{{224, 0, 0, 1}}};
inline constexpr ip_address all_nodes_group{ipv6_address{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}};
inline constexpr ip_address all_routers_group{ipv6_address{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}}};

// An address and a port: one end of a UDP conversation. `scope` is the interface that a link-local address belongs to;
// within one stack, which has one interface, it tells nothing apart.
struct endpoint_address {
  ip_address address;
  std::uint16_t port = 0;
  std::uint32_t scope = 0;

  friend bool operator==(const endpoint_address& a, const endpoint_address& b) {
    return a.port == b.port && a.address == b.address;
  }
};

struct ip_prefix {
  ip_address address;       // as written: 10.0.0.7/24 keeps the 7
  std::uint8_t length = 0;  // of its family: at most 32 or 128

  friend bool operator==(const ip_prefix&, const ip_prefix&) = default;
  constexpr std::uint8_t longest() const { return address.is_v4() ? 32 : 128; }
  // Counted in the 128 bits of ip_address.
  constexpr std::uint8_t mapped_length() const { return static_cast<std::uint8_t>(length + 128 - longest()); }
  constexpr bool contains(const ip_address& other) const {
    return ip_prefix{other, length}.network(mapped_length()) == network();
  }
  constexpr ip_address network() const { return network(mapped_length()); }
  // IPv4's directed broadcast address.
  constexpr ip_address broadcast() const {
    const std::uint32_t host_bits = length >= 32 ? 0 : ~std::uint32_t{0} >> length;
    return ipv4_address::from_number(address.ipv4().number() | host_bits);
  }

 private:
  constexpr ip_address network(unsigned mapped) const {
    ip_address out = address;
    for (unsigned i = 0; i < 16; ++i) {
      const unsigned kept = mapped > i * 8 ? mapped - i * 8 : 0;
      if (kept < 8) out.bytes[i] &= static_cast<std::uint8_t>(0xff00 >> kept);
    }
    return out;
  }
};

// Text forms. Parsing accepts the whole text or nothing: "10.0.0.1", "2001:db8::1", "10.0.0.1/24",
// "02:00:00:00:00:01". No scope.
std::optional<mac_address> parse_mac(std::string_view text);
std::optional<ip_address> parse_ip(std::string_view text);
// Without a length: all of it.
std::optional<ip_prefix> parse_ip_prefix(std::string_view text);

// "10.0.0.1", "2001:db8::1" (RFC 5952); the buffer holds the longest form and its terminator.
struct address_text {
  std::array<char, 48> chars{};
  const char* c_str() const { return chars.data(); }
};
address_text to_text(const ip_address& address);
address_text to_text(const mac_address& address);

}  // namespace fastudp
