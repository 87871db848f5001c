#include "link/mem/port.h"

#include <sched.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fastudp::mem {
namespace {

std::uint32_t frame_size(std::uint32_t mtu) { return (default_headroom + longest_link_header + mtu + 63) / 64 * 64; }

}  // namespace

status port::open(reason& why) {
  // As many frames as the ring has, so that a full ring leaves enough for transmission and for sockets' queues.
  auto frames = pool::create(2 * ring_, frame_size(info_.mtu));
  auto shared = shared_array<shared_state>::map(1);
  auto slots = shared_array<ring_slot>::map(ring_);
  if (!frames || !shared || !slots)
    return why.fail(ENOMEM, "no memory for %u frames: a smaller ring= needs less", ring_);
  frames_ = std::move(*frames);
  shared_ = std::move(*shared);
  slots_ = std::move(*slots);
  bell_ = descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!bell_) return why.fail(errno, "no descriptor left for the link: raise 'ulimit -n'");
  post();
  return {};
}

void port::post() {
  const std::uint32_t before = posted_;
  while (posted_ - taken_ < ring_) {
    packet* empty = frames_->take();
    if (empty == nullptr) break;
    slot(posted_++) = empty;
  }
  if (posted_ != before) shared_[0].posted.store(posted_, std::memory_order_release);
}

std::size_t port::receive(burst& out, counters& count) {
  const std::uint32_t waiting = shared_[0].filled.load(std::memory_order_acquire) - taken_;
  const auto n = std::min<std::size_t>(waiting, out.room());
  for (std::size_t i = 0; i < n; ++i) out.append(slot(taken_++));
  post();
  count_losses(count);
  return n;
}

void port::count_losses(counters& count) {
  std::uint64_t &counted_overruns = shared_[0].counted_overruns, &counted_refused = shared_[0].counted_refused;
  const auto overruns = shared_[0].overruns.load(std::memory_order_relaxed);
  const auto refused = shared_[0].refused.load(std::memory_order_relaxed);
  if (overruns != counted_overruns) count.dropped(drop::link_rx_full, overruns - counted_overruns);
  if (refused != counted_refused) count.dropped(drop::link_error, refused - counted_refused);
  counted_overruns = overruns;
  counted_refused = refused;
}

void port::fill(packet& slot, packet& from) {
  slot.length = from.length;
  std::memcpy(slot.data(), from.data(), from.length);
  if (from.checksum == checksum_state::verified) slot.checksum = checksum_state::verified;
}

void port::deliver(std::span<packet* const> frames) {
  auto& shared = shared_[0];
  {
    const locked hold(shared.senders);
    auto at = shared.filled.load(std::memory_order_relaxed);
    auto room = shared.posted.load(std::memory_order_acquire) - at;
    for (packet* p : frames) {
      if (!info_.carries(p->bytes())) {
        shared.refused.fetch_add(1, std::memory_order_relaxed);
      } else if (room == 0) {
        shared.overruns.fetch_add(1, std::memory_order_relaxed);
      } else {
        fill(*slot(at++), *p);
        --room;
      }
    }
    shared.filled.store(at, std::memory_order_seq_cst);
  }
  ring_bell();
}

// The sender publishes frames, then looks at the bell; the owner arms the bell, then looks for frames. All four in one
// total order: at least one of the two sees the other. A sender that found the ring full rings as well, since the owner
// may by now have frames to post.
void port::ring_bell() {
  auto& bell = shared_[0].bell;
  std::uint32_t expected = armed;
  if (bell.load(std::memory_order_seq_cst) != armed || !bell.compare_exchange_strong(expected, rung)) return;
  ::eventfd_write(bell_.number(), 1);
}

// The bell stays armed or rung ever after: somebody else may be asleep on it. When it was rung but its sound is still
// on its way, it is left so: wake_fd gets readable in a moment.
bool port::arm() {
  post();
  auto& shared = shared_[0];
  eventfd_t times = 0;
  if (shared.bell.load(std::memory_order_relaxed) != rung || ::eventfd_read(bell_.number(), &times) == 0) {
    shared.bell.store(armed, std::memory_order_seq_cst);
  }
  return shared.filled.load(std::memory_order_seq_cst) == taken_;
}

// Entering is ordered before any look at the list, as leaving the list is before any look at the sections (hub::leave).
void port::begin_sending() {
  auto& section = shared_[0].section;
  section.store(section.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
}

void port::end_sending() {
  auto& section = shared_[0].section;
  section.store(section.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void port::await_sender() const {
  const auto& section = shared_[0].section;
  const auto seen = section.load(std::memory_order_seq_cst);
  if (seen % 2 == 0) return;
  while (section.load(std::memory_order_acquire) == seen) ::sched_yield();
}

}  // namespace fastudp::mem
