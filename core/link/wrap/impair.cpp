#include "link/wrap/impair.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace fastudp::wrap {

link_ptr impaired_link::around(link_ptr inner, const impairment& with, counters& count) {
  // A share of the frames only, so that a long delay doesn't leave the stack without any.
  auto waiting = shared_array<held>::map(inner->frames().count() / 4);
  if (!waiting) return nullptr;
  std::unique_ptr<impaired_link> out(new (std::nothrow) impaired_link(std::move(inner), with, count));
  if (out) out->waiting_ = std::move(*waiting);
  return out;
}

impaired_link::impaired_link(link_ptr inner, const impairment& with, counters& count)
    : link_around(std::move(inner)), with_(with), count_(count), random_(with.seed) {}

impaired_link::~impaired_link() {
  for (std::size_t i = 0; i < waiting_count_; ++i) release(waiting_[i].frame);
  ready_.release_all();  // while the pool of the inner link still exists
}

std::size_t impaired_link::tx_burst(const burst& in) {
  move_due();
  std::size_t taken = 0;
  for (packet* p : in.packets()) {
    if (ready_.room() < 2) push();
    if (ready_.room() < 2) break;  // a frame may become two
    admit(p);
    ++taken;
  }
  push();
  return taken;
}

void impaired_link::admit(packet* p) {
  if (!info().carries(p->bytes())) return ready_.append(p);  // for the inner link to refuse
  if (random_.chance(with_.loss)) {
    ++done_.lost;
    return release(p);
  }
  packet* twin = random_.chance(with_.duplicate) ? copy_of(*p) : nullptr;
  launch(p);
  if (twin == nullptr) return;
  ++done_.duplicated;
  launch(twin);
}

void impaired_link::launch(packet* p) {
  if (random_.chance(with_.corrupt)) corrupt(*p);
  time_point due = now_ + with_.delay;
  if (random_.chance(with_.reorder)) {
    due += 1 + random_.below(longest_hold);
    ++done_.reordered;
  }
  due == now_ ? ready_.append(p) : hold(p, due);
}

// One bit, since that is what the Internet checksum always finds; two may cancel each other out.
void impaired_link::corrupt(packet& p) {
  const auto bit = random_.below(8 * p.length);
  p.data()[bit / 8] ^= std::byte{1} << (bit % 8);
  p.checksum = checksum_state::unknown;
  ++done_.corrupted;
}

// Only frames of the link's own pool are kept: another pool may be gone before this link is.
void impaired_link::hold(packet* p, time_point due) {
  packet* own = p;
  if (p->home != &frames()) {
    own = copy_of(*p);
    release(p);
  }
  if (own == nullptr || waiting_count_ == waiting_.size()) {
    if (own != nullptr) release(own);
    return count_.dropped(drop::link_tx_full);
  }
  waiting_[waiting_count_++] = {due, order_++, own};
  std::push_heap(waiting_.begin(), waiting_.begin() + waiting_count_);
}

packet* impaired_link::copy_of(packet& p) {
  packet* out = frames().take();
  if (out == nullptr) return nullptr;
  out->length = p.length;
  out->checksum = p.checksum;
  std::memcpy(out->data(), p.data(), p.length);
  return out;
}

void impaired_link::move_due() {
  while (waiting_count_ != 0 && waiting_[0].due <= now_) {
    if (ready_.room() == 0) push();
    if (ready_.room() == 0) return;
    ready_.append(waiting_[0].frame);
    std::pop_heap(waiting_.begin(), waiting_.begin() + waiting_count_--);
  }
}

void impaired_link::push() {
  if (!ready_.empty()) ready_.forget_front(inner().tx_burst(ready_));
}

void impaired_link::tx_flush() {
  push();
  inner().tx_flush();
}

time_point impaired_link::deadline() const {
  const time_point own = !ready_.empty() ? now_ : waiting_count_ != 0 ? waiting_[0].due : never;
  return std::min(own, link_around::deadline());
}

void impaired_link::advance(time_point now) {
  now_ = now;
  inner().advance(now);
  if (deadline() > now) return;
  move_due();
  tx_flush();
}

}  // namespace fastudp::wrap
