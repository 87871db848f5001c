#include "link/packet/ring_v3.h"

#include <sys/socket.h>

#include <cerrno>

namespace fastudp::af_packet {
namespace {

// The kernel cuts off what doesn't fit into a block, without a copy elsewhere: a block holds the longest frame. A slow
// trickle of frames fills a block a millisecond, so their number says for how long a program may look away.
constexpr std::uint32_t block_size = 128 * 1024, blocks = 256, longest_wait_ms = 1;
static_assert(block_size > longest_super_packet + 256, "with what the kernel puts before each frame");

bool is_handed_over(const tpacket_hdr_v1& block) {
  return (__atomic_load_n(&block.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) != 0;
}

}  // namespace

result<ring_v3> ring_v3::open(int socket, reason& why) {
  const int version = TPACKET_V3;
  tpacket_req3 layout{};
  layout.tp_block_size = layout.tp_frame_size = block_size;  // the size of a frame limits nothing here
  layout.tp_block_nr = layout.tp_frame_nr = blocks;
  layout.tp_retire_blk_tov = longest_wait_ms;
  if (::setsockopt(socket, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
      ::setsockopt(socket, SOL_PACKET, PACKET_RX_RING, &layout, sizeof layout) != 0) {
    return why.fail(errno, "no mapped ring of %u blocks of %u bytes: %m; ring=v2 needs less", blocks, block_size);
  }
  auto mapped = shared_memory::map_file(socket, std::size_t{blocks} * block_size);
  if (!mapped) return why.fail(mapped.code(), "the ring can't be mapped; ring=off does without");
  ring_v3 out;
  out.memory_ = std::move(*mapped);
  return out;
}

tpacket_hdr_v1& ring_v3::block() const {
  return reinterpret_cast<tpacket_block_desc*>(memory_.data() + std::size_t{block_} * block_size)->hdr.bh1;
}

const tpacket3_hdr& ring_v3::head() const {
  return *reinterpret_cast<const tpacket3_hdr*>(memory_.data() + std::size_t{block_} * block_size + at_);
}

// A frame for which the kernel had made room before it dropped it after all has no status; it is passed over.
bool ring_v3::next(received_frame& out) {
  while (left_ != 0 || begin_block()) {
    const tpacket3_hdr& frame = head();
    if ((frame.tp_status & TP_STATUS_USER) != 0) {
      out = frame_behind(frame, static_cast<std::uint16_t>(frame.hv1.tp_vlan_tci), frame.hv1.tp_vlan_tpid);
      return true;
    }
    give_back();
  }
  return false;
}

bool ring_v3::begin_block() {
  while (is_handed_over(block())) {
    left_ = block().num_pkts;
    at_ = block().offset_to_first_pkt;
    if (left_ != 0) return true;
    end_block();
  }
  return false;
}

void ring_v3::give_back() {
  at_ += head().tp_next_offset;
  if (--left_ == 0) end_block();
}

void ring_v3::end_block() {
  __atomic_store_n(&block().block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  block_ = block_ + 1 == blocks ? 0 : block_ + 1;
}

bool ring_v3::is_empty() const { return left_ == 0 && !is_handed_over(block()); }

}  // namespace fastudp::af_packet
