#include "socket/error_queue.h"

#include <linux/errqueue.h>

#include <cstring>

namespace fastudp {

// The record itself stands in the packet's headroom.
static_assert(sizeof(queued_error) <= default_headroom);

bool error_queue::push(const queued_error& what, std::span<const std::byte> payload, std::uint32_t limit,
                       frame_store& store) {
  packet* p = store.take(static_cast<std::uint32_t>(payload.size()));
  if (p == nullptr) return false;
  std::memcpy(p->frame, &what, sizeof what);
  if (!payload.empty()) std::memcpy(p->data(), payload.data(), payload.size());
  p->length = static_cast<std::uint32_t>(payload.size());
  if (queue_.push(p, limit)) return true;
  release(p);
  return false;
}

void error_queue::complete(std::uint32_t first, std::uint32_t last, bool copied, std::uint32_t limit,
                           frame_store& store) {
  queued_error newest;
  if (packet* back = queue_.back()) std::memcpy(&newest, back->frame, sizeof newest);
  if (newest.is_completion() && newest.data + 1 == first) {
    newest.data = last;
    std::memcpy(queue_.back()->frame, &newest, sizeof newest);
    return;
  }
  const std::uint8_t code = copied ? SO_EE_CODE_ZEROCOPY_COPIED : 0;
  push({.origin = SO_EE_ORIGIN_ZEROCOPY, .icmp_code = code, .info = first, .data = last}, {}, limit, store);
}

bool error_queue::peek(queued_error& what) const {
  if (queue_.empty()) return false;
  std::memcpy(&what, queue_.front()->frame, sizeof what);
  return true;
}

void error_queue::forget_errors() {
  for (std::size_t left = queue_.size(); left != 0; --left) {
    queued_error what;
    packet* p = pop(what);
    what.is_of_a_send() ? queue_.push_again(p) : release(p);
  }
}

packet* error_queue::pop(queued_error& what) { return peek(what) ? queue_.pop() : nullptr; }

}  // namespace fastudp
