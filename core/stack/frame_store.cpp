#include "stack/frame_store.h"

#include <algorithm>
#include <cstring>

namespace fastudp {
namespace {

struct frame_class {
  std::uint32_t count, frame_size;
};

// Small ones for the many tiny datagrams of market data and DNS, middle ones for an Ethernet MTU, large ones for the
// longest IP datagram. Address space only, until a burst meets a slow reader.
constexpr frame_class classes[] = {{1 << 17, 512}, {1 << 15, 2048}, {1 << 10, 66'560}};

}  // namespace

result<frame_store> frame_store::create() {
  frame_store out;
  for (std::size_t i = 0; i < std::size(classes); ++i) {
    auto made = pool::create(classes[i].count, classes[i].frame_size);
    if (!made) return made.failure();
    out.sizes_[i] = std::move(*made);
  }
  return out;
}

packet* frame_store::take(std::uint32_t size) {
  for (auto& candidate : sizes_) {
    if (size + default_headroom > candidate->frame_size()) continue;
    if (packet* p = candidate->take()) return p;
  }
  return nullptr;
}

packet* frame_store::copy(const packet& original) {
  // Headers in front of the payload come along: the receiver reads addresses, TTL and TOS from them.
  const std::uint32_t first = std::min(original.begin, original.network);
  const std::uint32_t size = original.begin + original.length - first;
  packet* p = take(size);
  if (p == nullptr) return nullptr;
  std::memcpy(p->frame + p->begin, original.frame + first, size);
  const std::uint32_t shift = p->begin - first;  // wraps when the copy lies further in front; so do the sums
  p->begin = original.begin + shift;
  p->network = original.network + shift;
  p->transport = original.transport + shift;
  p->length = original.length;
  p->checksum = original.checksum;
  p->joins = original.joins;
  return p;
}

bool frame_store::owns(const pool& frames) const {
  return std::ranges::any_of(sizes_, [&](const auto& size) { return size.get() == &frames; });
}

std::uint32_t frame_store::in_use() const {
  std::uint32_t total = 0;
  for (const auto& size : sizes_) total += size->count() - size->available();
  return total;
}

void frame_store::reclaim() {
  for (auto& size : sizes_) size->reclaim();
}

}  // namespace fastudp
