#pragma once
// The other way round than segments.h: datagrams of one flow that stand one behind the other in a burst leave as one
// super-packet, for a kernel on this host to keep whole for as long as it can, and to cut where it has to.
//
// They are joined where the cut ones are the same again, each but the last of one size. Of IPv4 the kernel counts
// identifications up from the first one's, so that has to be so already, or DF is set: then it means nothing (RFC 6864
// 4.1), and Linux's own UDP_SEGMENT and GRO do the same to it.

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "link/link.h"
#include "link/virtio_header.h"
#include "packet/burst.h"
#include "packet/packet.h"

namespace fastudp {

class super_packet {
 public:
  // Linux takes no more segments, and cuts what isn't shorter than 64 KiB with its Ethernet header.
  static constexpr std::size_t most_segments = 128, longest = 65'535;

  // How many of the frames, from the first on, one stands for; 1: the first leaves by itself.
  static std::size_t count_alike(std::span<packet* const> frames);

  // Of such frames, at least two. All of it is in `parts`, which has room for one more than there are frames; the first
  // is memory of this object, the others are the frames' own payloads.
  void join(std::span<packet* const> frames, iovec* parts);

 private:
  static constexpr std::size_t longest_headers = longest_link_header + 40 + 8;  // with IPv6 and UDP

  std::array<std::byte, virtio_header_length + longest_headers> headers_;
};

// Whether frames are joined: what a kernel or a device refuses is offered again more and more seldom, so that it costs
// nothing where it never works, and isn't given up for ever where it has not worked for a while.
class joiner {
 public:
  explicit joiner(bool is_wanted) : is_wanted_(is_wanted) {}

  // Into how many messages the frames are divided; number i has sizes[i] of them.
  using division = std::array<std::uint8_t, burst::capacity>;
  std::size_t divide(std::span<packet* const> frames, division& sizes);

  void accepted() { pause_ = shortest_pause; }
  // The frames went by themselves, but not as one.
  void refused();

 private:
  static constexpr std::uint32_t shortest_pause = 64, longest_pause = 1 << 20;  // in bursts

  bool is_wanted_;
  std::uint32_t pause_ = shortest_pause, left_ = 0;
};

// The headers of a frame with a UDP datagram of some length, with a checksum, right behind an IP header without options
// and unfragmented.
struct datagram_place {
  std::size_t ip = 0, udp = 0, payload = 0;  // payload 0: it isn't such a frame
};
datagram_place find_datagram(std::span<const std::byte> frame);

}  // namespace fastudp
