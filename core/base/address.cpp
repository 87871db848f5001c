#include "base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace fastudp {
namespace {

// Takes a number of the given base off the front of the text. A decimal that begins with 0 is refused, as inet_pton
// does: elsewhere it would be octal.
std::optional<unsigned> take_number(std::string_view& text, int base, std::size_t max_digits, unsigned max) {
  unsigned value = 0;
  const auto limit = text.data() + std::min(text.size(), max_digits);
  const auto [end, problem] = std::from_chars(text.data(), limit, value, base);
  if (problem != std::errc{} || value > max) return std::nullopt;
  if (base == 10 && text.front() == '0' && end != text.data() + 1) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take_char(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

// The bytes of an address, between separators.
template <typename Address>
std::optional<Address> parse_bytes(std::string_view text, int base, std::size_t digits, char separator) {
  Address out;
  bool first = true;
  for (auto& byte : out.bytes) {
    if (!first && !take_char(text, separator)) return std::nullopt;
    first = false;
    const auto value = take_number(text, base, digits, 255);
    if (!value) return std::nullopt;
    byte = static_cast<std::uint8_t>(*value);
  }
  if (!text.empty()) return std::nullopt;
  return out;
}

}  // namespace

std::optional<mac_address> parse_mac(std::string_view text) { return parse_bytes<mac_address>(text, 16, 2, ':'); }

std::optional<ip_address> parse_ip(std::string_view text) {
  // inet_pton takes exactly the forms that are right, and has no locale and no resolver behind it.
  address_text terminated;
  if (text.size() >= terminated.chars.size() || text.find('\0') != text.npos) return std::nullopt;
  text.copy(terminated.chars.data(), text.size());
  ipv4_address v4;
  if (::inet_pton(AF_INET, terminated.c_str(), v4.bytes.data()) == 1) return v4;
  ipv6_address v6;
  if (::inet_pton(AF_INET6, terminated.c_str(), v6.bytes.data()) == 1) return v6;
  return std::nullopt;
}

std::optional<ip_prefix> parse_ip_prefix(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = parse_ip(text.substr(0, slash));
  if (!address) return std::nullopt;
  const std::uint8_t longest = ip_prefix{*address}.longest();
  if (slash == text.npos) return ip_prefix{*address, longest};
  auto digits = text.substr(slash + 1);
  const auto length = take_number(digits, 10, 3, longest);
  if (!length || !digits.empty()) return std::nullopt;
  return ip_prefix{*address, static_cast<std::uint8_t>(*length)};
}

address_text to_text(const ip_address& address) {
  address_text out;
  const auto* from = address.bytes.data();
  const auto size = static_cast<socklen_t>(out.chars.size());
  (void)(address.is_v4() ? ::inet_ntop(AF_INET, from + 12, out.chars.data(), size)
                         : ::inet_ntop(AF_INET6, from, out.chars.data(), size));
  return out;
}

address_text to_text(const mac_address& address) {
  address_text out;
  const auto& b = address.bytes;
  std::snprintf(out.chars.data(), out.chars.size(), "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
                b[5]);
  return out;
}

}  // namespace fastudp
