#include "packet/pool.h"

#include <cerrno>
#include <new>

namespace fastudp {

result<std::unique_ptr<pool>> pool::create(std::uint32_t count, std::uint32_t frame_size) {
  auto packets = shared_array<packet>::map(count);
  if (!packets) return packets.failure();
  auto frames = shared_memory::map(std::size_t{count} * frame_size);
  if (!frames) return frames.failure();
  std::unique_ptr<pool> out(new (std::nothrow) pool);
  if (!out) return error{ENOMEM};
  out->packets_ = std::move(*packets);
  out->frames_ = std::move(*frames);
  out->count_ = out->available_ = count;
  out->frame_size_ = frame_size;
  return out;
}

result<std::unique_ptr<pool>> pool::create_for_adoption(std::uint32_t frame_size) {
  std::unique_ptr<pool> out(new (std::nothrow) pool);
  if (!out) return error{ENOMEM};
  out->frame_size_ = frame_size;
  return out;
}

void pool::adopt(packet* p, std::byte* frame) {
  *p = packet{};
  p->frame = frame;
  p->capacity = frame_size_;
  p->home = this;
  fresh_ = ++count_;
  release(p);
}

packet* pool::take() {
  if (free_ == nullptr && fresh_ == count_) reclaim();
  packet* p = free_;
  if (p != nullptr) {
    free_ = p->next;
  } else if (p = take_fresh(); p == nullptr) {
    return nullptr;
  }
  --available_;
  p->reset(default_headroom);
  return p;
}

packet* pool::take_fresh() {
  if (fresh_ == count_) return nullptr;
  packet* p = &packets_[fresh_];
  p->frame = frames_.data() + std::size_t{fresh_} * frame_size_;
  p->capacity = frame_size_;
  p->home = this;
  ++fresh_;
  return p;
}

void pool::release_from_any_thread(packet* p) {
  packet* head = returned_.load(std::memory_order_relaxed);
  do p->next = head;
  while (!returned_.compare_exchange_weak(head, p, std::memory_order_release, std::memory_order_relaxed));
}

void pool::reclaim() {
  packet* p = returned_.exchange(nullptr, std::memory_order_acquire);
  while (p != nullptr) {
    packet* next = p->next;
    release(p);
    p = next;
  }
}

}  // namespace fastudp
