#pragma once
// A link without a stack: whole frames in and out, for tools and tests.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/counters.h"
#include "base/memory.h"
#include "base/reason.h"
#include "base/result.h"
#include "endpoint/clock.h"
#include "endpoint/lock.h"
#include "link/link.h"
#include "packet/queue.h"

namespace fastudp {

class raw_link {
 public:
  static result<std::unique_ptr<raw_link>> open(std::string_view uri, reason& why);

  // Returns the frame's size.
  result<std::size_t> send(std::span<const std::byte> frame);
  // Returns the frame's full size, whatever fitted; EAGAIN: none is there.
  result<std::size_t> receive(std::span<std::byte> room);
  // Waits up to so many nanoseconds, negative: without limit. EINTR: a signal was handled.
  result<bool> wait(duration timeout);

 private:
  raw_link(shared_array<counters>&& count) : counters_(std::move(count)) {}
  bool has_frame();

  lock lock_;
  clock clock_{false};
  shared_array<counters> counters_;
  link_ptr link_;
  packet_queue received_;
};

}  // namespace fastudp
