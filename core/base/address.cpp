#include "base/address.h"

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

std::optional<ipv4_address> parse_ipv4(std::string_view text) { return parse_bytes<ipv4_address>(text, 10, 3, '.'); }

std::optional<ipv4_prefix> parse_ipv4_prefix(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = parse_ipv4(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == text.npos) return ipv4_prefix{*address, 32};
  auto digits = text.substr(slash + 1);
  const auto length = take_number(digits, 10, 2, 32);
  if (!length || !digits.empty()) return std::nullopt;
  return ipv4_prefix{*address, static_cast<std::uint8_t>(*length)};
}

address_text to_text(ipv4_address address) {
  address_text out;
  const auto& b = address.bytes;
  std::snprintf(out.chars.data(), out.chars.size(), "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
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
