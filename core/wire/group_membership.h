#pragma once
// What IGMPv3 (RFC 3376) and MLDv2 (RFC 3810) have in common.

#include <cstdint>

#include "wire/field.h"

namespace fastudp {

// RFC 3376 4.2.12, RFC 3810 5.2.12.
enum class group_record_type : std::uint8_t {
  mode_is_include = 1,
  mode_is_exclude = 2,
  change_to_include = 3,
  change_to_exclude = 4,
  allow_new_sources = 5,
  block_old_sources = 6,
};

// Times in queries: a number or, with the highest bit set, three bits of exponent and a mantissa (RFC 3376 4.1.1 and
// 4.1.7, RFC 3810 5.1.3 and 5.1.9).
template <unsigned W>
constexpr std::uint32_t from_exponent_code(u<W> code) {
  constexpr std::uint32_t above_mantissa = 1u << (W - 4);
  const std::uint32_t number = code;
  if (number >> (W - 1) == 0) return number;
  return (above_mantissa | (number & (above_mantissa - 1))) << ((number >> (W - 4) & 7) + 3);
}

}  // namespace fastudp
