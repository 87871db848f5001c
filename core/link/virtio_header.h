#pragma once
// struct virtio_net_hdr, which stands before each frame that a kernel on this host hands over or takes: by it either
// side says what it has left undone (virtio 1.2, 5.1.6). The system's own header for it isn't C++.

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "packet/packet.h"

namespace fastudp {

// The layout without number of buffers, which both sides keep, whatever features were agreed on.
inline constexpr std::uint32_t virtio_header_length = 10;

// That of a whole frame with its checksum in place, to be sent before it.
inline iovec nothing_left_undone() {
  static constexpr std::array<std::byte, virtio_header_length> header{};
  return {const_cast<std::byte*>(header.data()), header.size()};
}

inline void set_header_length(std::byte* header, std::uint16_t length) {
  std::memcpy(header + 2, &length, sizeof length);
}

// That of a super-packet of UDP datagrams, whose headers take `headers` bytes, the last of them UDP's, with the pseudo
// header's sum in it, and whose payloads have `size` bytes each, but for the last.
inline void write_super_header(std::byte* header, std::uint16_t headers, std::uint16_t size) {
  constexpr std::uint8_t needs_checksum = 1, udp_segments = 5;
  constexpr std::uint16_t udp_header = 8, checksum_at = 6;
  const struct {
    std::uint8_t flags, kind;
    std::uint16_t headers, size, sum_from, sum_at;
  } said{needs_checksum, udp_segments, headers, size, static_cast<std::uint16_t>(headers - udp_header), checksum_at};
  static_assert(sizeof said == virtio_header_length);
  std::memcpy(header, &said, sizeof said);
}

inline checksum_state checksum_said_by(const std::byte* header) {
  constexpr std::byte needs_checksum{1}, checksum_valid{2};
  if ((header[0] & needs_checksum) != std::byte{}) return checksum_state::partial;
  return (header[0] & checksum_valid) != std::byte{} ? checksum_state::verified : checksum_state::unknown;
}

// Of a super-packet the bytes of payload in each of its segments; 0 for a frame as on the wire.
inline std::uint32_t segment_size_said_by(const std::byte* header) {
  std::uint16_t size;
  std::memcpy(&size, header + 4, sizeof size);
  return header[1] != std::byte{} ? size : 0;
}

}  // namespace fastudp
