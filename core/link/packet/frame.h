#pragma once
// A frame as the kernel hands it over, by whichever way: it stays where it is until it is given back.

#include <linux/if_packet.h>

#include <cstddef>
#include <cstdint>

#include "link/intake.h"
#include "link/virtio_header.h"

namespace fastudp::af_packet {

// What the kernel says of a frame besides the header (TP_STATUS_*). The device or the kernel may have taken a tag out.
inline void note_status(received_frame& out, std::uint32_t status, std::uint16_t vlan_tci, std::uint16_t vlan_tpid) {
  constexpr std::uint16_t customer = 0x8100;
  const auto says = [&](std::uint32_t flag) { return (status & flag) != 0; };
  out.checksum = says(TP_STATUS_CSUMNOTREADY) ? checksum_state::partial
                 : says(TP_STATUS_CSUM_VALID) ? checksum_state::verified
                                              : checksum_state::unknown;
  if (says(TP_STATUS_VLAN_VALID)) out.tag = {says(TP_STATUS_VLAN_TPID_VALID) ? vlan_tpid : customer, vlan_tci};
}

// The kernel's words for a frame in a ring are the same in both versions, but for the names of the fields.
template <typename Header>
received_frame frame_behind(const Header& head, std::uint16_t vlan_tci, std::uint16_t vlan_tpid) {
  const auto* base = reinterpret_cast<const std::byte*>(&head);
  received_frame out{.header = base + head.tp_mac - virtio_header_length,
                     .bytes = {base + head.tp_mac, head.tp_snaplen},
                     .length = head.tp_len,
                     .tag = {},
                     .stamp = std::int64_t{head.tp_sec} * 1'000'000'000 + head.tp_nsec};
  note_status(out, head.tp_status, vlan_tci, vlan_tpid);
  return out;
}

}  // namespace fastudp::af_packet
