#pragma once
// Super-packets: many UDP datagrams of one flow in one frame, as a kernel hands them to "hardware" that would cut them
// (UDP_SEGMENT, GRO). Here they are cut into the frames that would have been on the wire.

#include <cstddef>
#include <cstdint>
#include <span>

#include "link/link.h"

namespace fastudp {

// An IP packet of the longest kind.
inline constexpr std::size_t longest_super_packet = 65'536 + longest_link_header;

class segments {
 public:
  // A frame that holds payloads of `size` bytes each, but for the last. When it isn't such a frame, is_whole() says so
  // and the frame is one.
  segments(std::span<const std::byte> frame, std::uint32_t size);

  bool is_whole() const { return header_ == 0; }
  std::size_t count() const;
  // Writes frame number i to `out`, which has room for room_needed() bytes, and returns its length. Its IP header is
  // right; its UDP checksum isn't filled in: whoever made the super-packet vouches for the payload.
  std::size_t write(std::size_t i, std::span<std::byte> out) const;
  std::size_t room_needed() const { return header_ + size_; }

 private:
  std::span<const std::byte> frame_;
  std::size_t ip_at_ = 0;
  std::size_t header_ = 0;  // Ethernet, tags, IP and UDP
  bool is_ipv6_ = false;
  std::size_t size_ = 0;
};

}  // namespace fastudp
