#pragma once
// Numbers of any width at any bit position, big-endian as every Internet header: one load, swap, shift and mask.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/byte_order.h"

namespace fastudp::wire {

template <std::size_t Bytes>
using word_of = std::conditional_t<
    Bytes == 1, std::uint8_t,
    std::conditional_t<Bytes == 2, std::uint16_t, std::conditional_t<Bytes == 4, std::uint32_t, std::uint64_t>>>;

// The smallest power-of-two window around a field that doesn't leave its region. A field of, say, 24 bits in a region
// of three bytes has none: it is split at a byte boundary into a high part that has one, and the rest.
template <std::size_t Offset, std::size_t Width, std::size_t Region>
struct window {
  static_assert(Width >= 1 && Width <= 64 && Offset + Width <= Region * 8);
  static constexpr std::size_t first = Offset / 8;
  static constexpr std::size_t covered = (Offset + Width - 1) / 8 - first + 1;
  static constexpr std::size_t bytes = std::bit_ceil(covered);
  static constexpr bool exists = bytes <= 8 && bytes <= Region;
  static constexpr std::size_t start = first + bytes <= Region ? first : Region - bytes;
  static constexpr std::size_t shift = (start + bytes) * 8 - Offset - Width;

  static constexpr std::size_t high_width = (first + std::bit_floor(covered)) * 8 - Offset;
  static constexpr std::size_t low_width = Width - high_width;

  using word = word_of<exists ? bytes : 1>;
  // Narrow words would be promoted to int, and the masks of negative ints cost instructions.
  using arithmetic = std::conditional_t<bytes <= 4, std::uint32_t, std::uint64_t>;
  static constexpr bool whole = exists && Width == bytes * 8;
  static constexpr arithmetic mask = static_cast<arithmetic>(~std::uint64_t{0} >> (64 - Width));
};

template <std::size_t Offset, std::size_t Width, std::size_t Region>
auto load_bits(const std::byte* region) {
  using at = window<Offset, Width, Region>;
  using number = typename at::arithmetic;
  if constexpr (at::exists) {
    const number around = load_network<typename at::word>(region + at::start);
    return static_cast<number>((around >> at::shift) & at::mask);
  } else {
    const number high = load_bits<Offset, at::high_width, Region>(region);
    const number low = load_bits<Offset + at::high_width, at::low_width, Region>(region);
    return static_cast<number>(high << at::low_width | low);
  }
}

// The value must fit: the types of field.h see to that.
template <std::size_t Offset, std::size_t Width, std::size_t Region>
void store_bits(std::byte* region, std::uint64_t value) {
  using at = window<Offset, Width, Region>;
  using number = typename at::arithmetic;
  if constexpr (at::whole) {
    store_network(region + at::start, static_cast<typename at::word>(value));
  } else if constexpr (at::exists) {
    const number around = load_network<typename at::word>(region + at::start);
    const number kept = around & static_cast<number>(~(at::mask << at::shift));
    store_network(region + at::start, static_cast<typename at::word>(kept | static_cast<number>(value) << at::shift));
  } else {
    store_bits<Offset, at::high_width, Region>(region, value >> at::low_width);
    store_bits<Offset + at::high_width, at::low_width, Region>(region,
                                                               value & (~std::uint64_t{0} >> (64 - at::low_width)));
  }
}

}  // namespace fastudp::wire
