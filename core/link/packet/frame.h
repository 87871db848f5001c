#pragma once
// A frame as the kernel hands it over, by whichever way: it stays where it is until it is given back.

#include <linux/if_packet.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "link/link.h"
#include "link/virtio_header.h"

namespace fastudp::af_packet {

// A super-packet is an IP packet of the longest kind.
inline constexpr std::size_t longest_frame = 65'536 + longest_link_header;

struct received_frame {
  const std::byte* header = nullptr;  // virtio_net_hdr
  std::span<const std::byte> bytes;   // what there is of it
  std::uint32_t length = 0;           // of the whole frame
  std::uint32_t status = 0;           // TP_STATUS_*
  std::uint16_t vlan_tci = 0, vlan_tpid = 0;
  std::int64_t stamp = 0;  // when it arrived; 0: the kernel doesn't say

  bool is_whole() const { return bytes.size() == length; }
};

// The kernel's words for a frame in a ring are the same in both versions, but for the names of the fields.
template <typename Header>
received_frame frame_behind(const Header& head, std::uint16_t vlan_tci, std::uint16_t vlan_tpid) {
  const auto* base = reinterpret_cast<const std::byte*>(&head);
  return {.header = base + head.tp_mac - virtio_header_length,
          .bytes = {base + head.tp_mac, head.tp_snaplen},
          .length = head.tp_len,
          .status = head.tp_status,
          .vlan_tci = vlan_tci,
          .vlan_tpid = vlan_tpid,
          .stamp = std::int64_t{head.tp_sec} * 1'000'000'000 + head.tp_nsec};
}

}  // namespace fastudp::af_packet
