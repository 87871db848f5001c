#include "link/packet/transmit_ring.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "link/virtio_header.h"

namespace fastudp::af_packet {
namespace {

constexpr std::uint32_t slots = 256;
// The kernel looks for header and frame right behind the slot's own header.
constexpr std::uint32_t header_at = TPACKET_ALIGN(sizeof(tpacket2_hdr)), frame_at = header_at + virtio_header_length;
constexpr std::uint32_t longest_copied = 2048;

// What else may stand in a status says when a frame left.
bool has_any(const tpacket2_hdr& slot, std::uint32_t flags) {
  return (__atomic_load_n(&slot.tp_status, __ATOMIC_ACQUIRE) & flags) != 0;
}

void set_status(tpacket2_hdr& slot, std::uint32_t status) {
  __atomic_store_n(&slot.tp_status, status, __ATOMIC_RELEASE);
}

// What the header calls headers the kernel copies; of the rest it keeps hold of the pages, and a peer on this host is
// given a copy of them after all. For a frame of the usual length the one copy is cheaper.
void fill(tpacket2_hdr& slot, std::span<const std::byte> frame) {
  auto* base = reinterpret_cast<std::byte*>(&slot);
  const iovec nothing = nothing_left_undone();
  std::memcpy(base + header_at, nothing.iov_base, nothing.iov_len);
  if (frame.size() <= longest_copied) set_header_length(base + header_at, static_cast<std::uint16_t>(frame.size()));
  std::memcpy(base + frame_at, frame.data(), frame.size());
  slot.tp_len = static_cast<std::uint32_t>(virtio_header_length + frame.size());
  set_status(slot, TP_STATUS_SEND_REQUEST);
}

}  // namespace

result<transmit_ring> transmit_ring::open(descriptor&& socket, std::uint32_t frame, reason& why) {
  const int version = TPACKET_V2;
  transmit_ring out;
  out.slot_size_ = std::bit_ceil(frame_at + frame);
  tpacket_req layout{};
  layout.tp_block_size = std::max(out.slot_size_, static_cast<std::uint32_t>(::getpagesize()) * 16);
  layout.tp_frame_size = out.slot_size_;
  layout.tp_block_nr = slots * out.slot_size_ / layout.tp_block_size;
  layout.tp_frame_nr = slots;
  if (::setsockopt(socket.number(), SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
      ::setsockopt(socket.number(), SOL_PACKET, PACKET_TX_RING, &layout, sizeof layout) != 0) {
    return why.fail(errno, "no mapped ring to send by: %m; ring=off does without");
  }
  auto mapped = shared_memory::map_file(socket.number(), std::size_t{slots} * out.slot_size_);
  if (!mapped) return why.fail(mapped.code(), "the ring can't be mapped; ring=off does without");
  out.memory_ = std::move(*mapped);
  out.socket_ = std::move(socket);
  return out;
}

tpacket2_hdr& transmit_ring::slot(std::size_t ahead) const {
  return *reinterpret_cast<tpacket2_hdr*>(memory_.data() + (next_ + ahead) % slots * slot_size_);
}

// A slot is free again when the device has sent what was in it.
std::size_t transmit_ring::put(std::span<packet* const> frames) {
  std::size_t n = 0;
  for (; n < frames.size() && n < slots && !has_any(slot(n), TP_STATUS_SENDING); ++n) fill(slot(n), frames[n]->bytes());
  return n;
}

// Without PACKET_LOSS, by which the kernel would pass over what it refuses without a word: it stops there instead, and
// begins there the next time. What it has not come to is withdrawn.
transmit_ring::progress transmit_ring::send(std::span<packet* const> frames) {
  progress out;
  const std::size_t count = put(frames);
  if (count == 0) return out;
  if (::send(socket_.number(), nullptr, 0, MSG_DONTWAIT) < 0) out.problem = errno;
  while (out.sent < count && !has_any(slot(out.sent), TP_STATUS_SEND_REQUEST | TP_STATUS_WRONG_FORMAT)) ++out.sent;
  out.is_refused = out.sent < count && has_any(slot(out.sent), TP_STATUS_WRONG_FORMAT);
  for (std::size_t i = out.sent; i < count; ++i) set_status(slot(i), TP_STATUS_AVAILABLE);
  next_ = static_cast<std::uint32_t>((next_ + out.sent) % slots);
  return out;
}

}  // namespace fastudp::af_packet
