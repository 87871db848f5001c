#pragma once
// Network byte order, for the places that don't go through the header language of wire/.

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace fastudp {

template <std::unsigned_integral T>
constexpr T byte_swap(T value) {
  if constexpr (sizeof(T) == 1) return value;
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
}

// Converts both ways: host to network and network to host are the same operation.
template <std::unsigned_integral T>
constexpr T network_order(T value) {
  return std::endian::native == std::endian::little ? byte_swap(value) : value;
}

template <std::unsigned_integral T>
T load_network(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return network_order(value);
}

template <std::unsigned_integral T>
void store_network(std::byte* to, T value) {
  value = network_order(value);
  std::memcpy(to, &value, sizeof value);
}

}  // namespace fastudp
