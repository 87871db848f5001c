#pragma once
// What the tests of wire/ share: bytes written as text, and an oracle that knows nothing but single bits.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "wire/schema.h"

namespace fastudp {

using octet_string = std::vector<std::byte>;

// "45 00 0a" as bytes.
inline octet_string hex(std::string_view text) {
  octet_string out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 3) {
    const char digits[] = {text[i], text[i + 1], '\0'};
    out.push_back(static_cast<std::byte>(std::strtoul(digits, nullptr, 16)));
  }
  return out;
}

inline octet_string random_bytes(random_source& random, std::size_t length) {
  octet_string out(length);
  for (auto& byte : out) byte = static_cast<std::byte>(random.next() >> 56);
  return out;
}

// Bit 0 is the most significant of the first byte, as RFCs draw it.
inline bool oracle_bit(std::span<const std::byte> bytes, std::size_t at) {
  return std::to_integer<unsigned>(bytes[at / 8]) >> (7 - at % 8) & 1;
}

// As wide as the widest field, an IPv6 address.
__extension__ using any_number = unsigned __int128;

// All ones, or as much of a random number as the field has room for.
inline any_number cut_to(any_number value, unsigned width) {
  return width == 128 ? value : value & ((any_number{1} << width) - 1);
}

inline any_number oracle_get(std::span<const std::byte> bytes, const field_info& field) {
  any_number out = 0;
  for (std::size_t i = 0; i < field.width; ++i) out = out << 1 | oracle_bit(bytes, field.offset + i);
  return out;
}

inline void oracle_set(std::span<std::byte> bytes, const field_info& field, any_number value) {
  for (std::size_t i = 0; i < field.width; ++i) {
    const std::size_t at = field.offset + i;
    const auto bit = static_cast<std::byte>(0x80 >> at % 8);
    const bool one = value >> (field.width - 1 - i) & 1;
    bytes[at / 8] = one ? bytes[at / 8] | bit : bytes[at / 8] & ~bit;
  }
}

// Any field as a number and back; bytes count as one big-endian number.
template <unsigned W>
any_number number_of(u<W> field) {
  return field;
}
template <typename E, unsigned W>
any_number number_of(as<E, W> field) {
  const E value = field;
  return static_cast<std::make_unsigned_t<std::underlying_type_t<E>>>(value);
}
template <wire::byte_field F>
any_number number_of(const F& field) {
  any_number out = 0;
  for (std::byte byte : std::as_bytes(std::span(&field, 1))) out = out << 8 | std::to_integer<unsigned>(byte);
  return out;
}

template <typename F>
struct field_from {
  static F number(any_number value) {
    F out;
    auto bytes = std::as_writable_bytes(std::span(&out, 1));
    for (std::size_t i = bytes.size(); i-- > 0; value >>= 8) bytes[i] = static_cast<std::byte>(value);
    return out;
  }
};
template <unsigned W>
struct field_from<u<W>> {
  static u<W> number(any_number value) { return *u<W>::checked(static_cast<std::uint64_t>(value)); }
};
template <typename E, unsigned W>
struct field_from<as<E, W>> {
  static as<E, W> number(any_number value) { return *as<E, W>::checked(static_cast<E>(value)); }
};

// Gets and sets by an index that is known at run time only.
template <typename T>
struct any_field_of {
  any_number (*get)(view<T>);
  void (*set)(mutable_view<T>, any_number);
};

template <typename T>
constexpr auto accessors() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array{any_field_of<T>{[](view<T> v) { return number_of(v.template get_at<I>()); },
                                      [](mutable_view<T> m, any_number value) {
                                        m.template set_at<I>(field_from<wire::member_type<T, I>>::number(value));
                                      }}...};
  }
  (std::make_index_sequence<fields<T>().size()>{});
}

}  // namespace fastudp
