#include "link/packet/block_ring.h"

#include <sys/socket.h>

#include <cerrno>

#include "link/packet/socket.h"

namespace fastudp::af_packet {
namespace {

constexpr std::uint32_t block_size = 1 << 18, blocks = 32;
constexpr std::uint32_t milliseconds = 1;

}  // namespace

result<block_ring> block_ring::open(int socket, reason& why) {
  const int version = TPACKET_V3;
  tpacket_req3 layout{};
  layout.tp_block_size = block_size;
  layout.tp_block_nr = blocks;
  layout.tp_frame_size = TPACKET_ALIGNMENT << 7;  // of no importance but to the check that all adds up
  layout.tp_frame_nr = block_size / layout.tp_frame_size * blocks;
  layout.tp_retire_blk_tov = milliseconds;
  if (::setsockopt(socket, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
      ::setsockopt(socket, SOL_PACKET, PACKET_RX_RING, &layout, sizeof layout) != 0) {
    return why.fail(errno, "no mapped ring of %u blocks of %u bytes: %m; ring=off does without", blocks, block_size);
  }
  auto mapped = shared_memory::map_file(socket, std::size_t{blocks} * block_size);
  if (!mapped) return why.fail(mapped.code(), "the ring can't be mapped; ring=off does without");
  block_ring out;
  out.memory_ = std::move(*mapped);
  return out;
}

tpacket_block_desc& block_ring::block() const {
  return *reinterpret_cast<tpacket_block_desc*>(memory_.data() + std::size_t{block_} * block_size);
}

tpacket3_hdr& block_ring::head() const {
  return *reinterpret_cast<tpacket3_hdr*>(memory_.data() + std::size_t{block_} * block_size + at_);
}

bool block_ring::front(received_frame& out) {
  if (left_ == 0) {
    const tpacket_hdr_v1& facts = block().hdr.bh1;
    if ((__atomic_load_n(&facts.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) return false;
    left_ = facts.num_pkts;
    at_ = facts.offset_to_first_pkt;
  }
  const tpacket3_hdr& one = head();
  const auto* base = reinterpret_cast<const std::byte*>(&one);
  out.bytes = {base + one.tp_mac, one.tp_snaplen};
  out.header = {base + one.tp_mac - virtio_header_length, virtio_header_length};
  out.length = one.tp_len;
  out.status = one.tp_status;
  out.vlan_tci = static_cast<std::uint16_t>(one.hv1.tp_vlan_tci);
  out.vlan_tpid = one.hv1.tp_vlan_tpid;
  return true;
}

// A block goes back with its last frame; the kernel hands none over that is empty.
void block_ring::give_back() {
  at_ += head().tp_next_offset;
  if (--left_ != 0) return;
  __atomic_store_n(&block().hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  block_ = block_ + 1 == blocks ? 0 : block_ + 1;
}

}  // namespace fastudp::af_packet
