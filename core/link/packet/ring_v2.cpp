#include "link/packet/ring_v2.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace fastudp::af_packet {
namespace {

// The slot's own header, the socket address that the kernel puts behind it, and the virtio-net header.
constexpr std::uint32_t before_frame = 128;

bool is_filled(const tpacket2_hdr& slot) {
  return (__atomic_load_n(&slot.tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) != 0;
}

}  // namespace

result<ring_v2> ring_v2::open(int socket, std::uint32_t frame, std::uint32_t slots, reason& why) {
  const int version = TPACKET_V2, longest = static_cast<int>(longest_super_packet);
  ring_v2 out;
  out.slot_size_ = std::bit_ceil(before_frame + frame);
  out.slots_ = slots;
  tpacket_req layout{};
  layout.tp_block_size = std::max(out.slot_size_, static_cast<std::uint32_t>(::getpagesize()) * 16);
  layout.tp_frame_size = out.slot_size_;
  layout.tp_block_nr = slots * out.slot_size_ / layout.tp_block_size;
  layout.tp_frame_nr = slots;
  if (::setsockopt(socket, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
      ::setsockopt(socket, SOL_PACKET, PACKET_COPY_THRESH, &longest, sizeof longest) != 0 ||
      ::setsockopt(socket, SOL_PACKET, PACKET_RX_RING, &layout, sizeof layout) != 0) {
    return why.fail(errno, "no mapped ring of %u slots of %u bytes: %m; ring=off does without", slots, out.slot_size_);
  }
  auto mapped = shared_memory::map_file(socket, std::size_t{slots} * out.slot_size_);
  if (!mapped) return why.fail(mapped.code(), "the ring can't be mapped; ring=off does without");
  out.memory_ = std::move(*mapped);
  auto longer = socket_queue::open(socket, why);
  if (!longer) return longer.failure();
  out.longer_ = std::move(*longer);
  return out;
}

bool ring_v2::next(received_frame& out) {
  const tpacket2_hdr& head = slot();
  if (!is_filled(head)) return false;
  out = frame_behind(head, head.tp_vlan_tci, head.tp_vlan_tpid);
  // When the socket's queue is full as well, the rest is lost, and the frame shows it.
  if ((head.tp_status & TP_STATUS_COPY) == 0) return true;
  const std::int64_t stamp = out.stamp;
  (void)longer_.next(out);
  out.stamp = stamp;
  return true;
}

void ring_v2::give_back() {
  __atomic_store_n(&slot().tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  next_ = next_ + 1 == slots_ ? 0 : next_ + 1;
}

bool ring_v2::is_empty() const { return !is_filled(slot()); }

}  // namespace fastudp::af_packet
