#pragma once
// The Internet checksum once more, in the plainest way: the oracle of the fuzz targets.

#include <cstddef>
#include <cstdint>
#include <span>

namespace fastudp {

inline std::uint16_t plain_sum(std::span<const std::byte> bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += std::to_integer<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
    if (sum > 0xffff) sum = (sum & 0xffff) + 1;
  }
  return static_cast<std::uint16_t>(sum);
}

}  // namespace fastudp
