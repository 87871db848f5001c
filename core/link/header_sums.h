#pragma once
// Sums over headers, where frames are cut, joined, or come with their checksums undone.

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/byte_order.h"

namespace fastudp {

// RFC 791: of a whole header, whatever stands in its field.
inline std::uint16_t ipv4_checksum(std::span<const std::byte> header) {
  constexpr std::size_t checksum_at = 10;
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < header.size(); i += 2) {
    sum += i == checksum_at ? 0u : load_network<std::uint16_t>(&header[i]);
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

// `addresses` of both ends, one behind the other; of the UDP header all eight bytes are there.
inline std::uint16_t pseudo_sum(const std::byte* udp_header, std::span<const std::byte> addresses) {
  constexpr std::uint32_t protocol = 17;
  constexpr std::size_t length_at = 4;
  const auto word = [](const std::byte* at) { return load_network<std::uint16_t>(at); };
  std::uint32_t sum = protocol + word(udp_header + length_at);
  for (std::size_t i = 0; i < addresses.size(); i += 2) sum += word(&addresses[i]);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

// A kernel on this host leaves UDP checksums to "hardware" that isn't there, where a link leads to such kernels: then
// the field has the pseudo header's sum alone.
inline bool has_pseudo_sum(const std::byte* udp_header, std::span<const std::byte> addresses) {
  constexpr std::size_t checksum_at = 6;
  return pseudo_sum(udp_header, addresses) == load_network<std::uint16_t>(udp_header + checksum_at);
}

}  // namespace fastudp
