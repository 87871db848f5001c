#include "link/intake.h"

#include <cstring>

#include "base/byte_order.h"
#include "link/virtio_header.h"

namespace fastudp {
namespace {

checksum_state checksum_of(const received_frame& f) {
  const auto said = checksum_said_by(f.header);
  return said != checksum_state::unknown ? said : f.checksum;
}

}  // namespace

bool intake::take(const received_frame& f, burst& out) {
  if (!f.is_whole()) {
    count_.dropped(drop::link_rx_full);
    return true;
  }
  const segments pieces(f.bytes, segment_size_said_by(f.header));
  if (pieces.is_whole()) {
    take_whole(f, out);
    return true;
  }
  pieces_ = pieces;
  their_tag_ = tag_of(f);
  their_stamp_ = f.stamp;
  next_piece_ = 0;
  return go_on(out);
}

// The tag comes to stand before what is written to the packet's data.
packet* intake::make_room(std::size_t size, const std::optional<vlan_tag>& tag) {
  packet* p = frames_.take();
  if (p == nullptr) {
    count_.dropped(drop::no_memory);
    return nullptr;
  }
  if (tag) p->reset(default_headroom + vlan_tag_length);
  if (size >= ethernet_header_length && size <= p->tailroom()) return p;
  count_.dropped(drop::link_error);
  release(p);
  return nullptr;
}

void intake::append(packet* p, std::size_t size, const std::optional<vlan_tag>& tag, checksum_state checksum,
                    std::int64_t stamp, burst& out) {
  p->length = static_cast<std::uint32_t>(size);
  if (tag) {
    constexpr std::uint32_t addresses = 12;
    std::byte* at = p->insert(addresses, vlan_tag_length);
    store_network(at, tag->type);
    store_network(at + sizeof tag->type, tag->information);
  }
  p->checksum = checksum;
  p->stamp = stamp;
  out.append(p);
}

void intake::take_whole(const received_frame& f, burst& out) {
  const auto tag = tag_of(f);
  packet* p = make_room(f.bytes.size(), tag);
  if (p == nullptr) return;
  std::memcpy(p->data(), f.bytes.data(), f.bytes.size());
  append(p, f.bytes.size(), tag, checksum_of(f), f.stamp, out);
}

bool intake::go_on(burst& out) {
  for (; next_piece_ < pieces_->count() && out.room() != 0; ++next_piece_) {
    packet* p = make_room(pieces_->room_needed(), their_tag_);
    if (p == nullptr) continue;
    p->joins = next_piece_ == 0 ? joining::alone : joining::always;
    const std::size_t size = pieces_->write(next_piece_, {p->data(), p->tailroom()});
    append(p, size, their_tag_, checksum_state::verified, their_stamp_, out);  // the kernel that made it vouches for it
  }
  if (next_piece_ < pieces_->count()) return false;
  pieces_.reset();
  return true;
}

}  // namespace fastudp
