#include "link/packet/ring.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

#include "link/packet/socket.h"

namespace fastudp::af_packet {

result<ring> ring::open(int socket, std::uint32_t frame, std::uint32_t slots, reason& why) {
  const int version = TPACKET_V2;
  // The slot's own header, the socket address that the kernel puts behind it, and the virtio-net header.
  constexpr std::uint32_t before_frame = 128;
  ring out;
  out.slot_size_ = std::bit_ceil(before_frame + frame);
  out.slots_ = slots;
  tpacket_req layout{};
  layout.tp_block_size = std::max(out.slot_size_, static_cast<std::uint32_t>(::getpagesize()) * 16);
  layout.tp_frame_size = out.slot_size_;
  layout.tp_block_nr = slots * out.slot_size_ / layout.tp_block_size;
  layout.tp_frame_nr = slots;
  if (::setsockopt(socket, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
      ::setsockopt(socket, SOL_PACKET, PACKET_RX_RING, &layout, sizeof layout) != 0) {
    return why.fail(errno, "no mapped ring of %u slots of %u bytes: %m; ring=off does without", slots, out.slot_size_);
  }
  auto mapped = shared_memory::map_file(socket, std::size_t{slots} * out.slot_size_);
  if (!mapped) return why.fail(mapped.code(), "the ring can't be mapped; ring=off does without");
  out.memory_ = std::move(*mapped);
  return out;
}

bool ring::front(received_frame& out) const {
  const tpacket2_hdr& head = slot();
  const std::uint32_t status = __atomic_load_n(&head.tp_status, __ATOMIC_ACQUIRE);
  if ((status & TP_STATUS_USER) == 0) return false;
  const auto* base = reinterpret_cast<const std::byte*>(&head);
  out.bytes = {base + head.tp_mac, head.tp_snaplen};
  out.header = {base + head.tp_mac - virtio_header_length, virtio_header_length};
  out.length = head.tp_len;
  out.status = status;
  out.vlan_tci = head.tp_vlan_tci;
  out.vlan_tpid = head.tp_vlan_tpid;
  return true;
}

void ring::give_back() {
  __atomic_store_n(&slot().tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  next_ = next_ + 1 == slots_ ? 0 : next_ + 1;
}

}  // namespace fastudp::af_packet
