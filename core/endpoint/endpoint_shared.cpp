// An endpoint whose kernel socket other processes have too: who receives by it, and what becomes of datagrams when that
// changes.

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>

#include "endpoint/endpoint.h"
#include "endpoint/held_signals.h"

namespace fastudp {

// One that is bound by now may have come from another process, which knows it.
void endpoint::share(bool is_new) {
  engine_.family().remember(kernel_->cookie());
  if (auto* place = engine_.family().take_socket(kernel_->cookie(), is_new)) shared_ = place;
  const bool is_ours_alone = shared_->users.load(std::memory_order_relaxed) <= 1;
  if (!is_new && is_ours_alone) shared_->losses = kernel_->socket().drops();  // what was lost before isn't ours
}

// Whichever process asks has what is new. Where filters refuse some, the kernel counts these as well.
void endpoint::count_kernels_losses() {
  const bool has_filter = !socket_.filter().empty() || has_foreign_filter_;
  if (!kernel_ || has_filter || !kernel_->socket().drops_are_lost()) return;
  if (shared_ != &unshared_ && shared_->cookie != kernel_->cookie()) return;  // those who had it have closed it
  const std::uint32_t now = kernel_->socket().drops();
  std::uint32_t before = shared_->losses.load(std::memory_order_relaxed);
  const auto are_new = [&] { return static_cast<std::int32_t>(now - before) > 0; };
  while (are_new() && !shared_->losses.compare_exchange_weak(before, now, std::memory_order_relaxed)) continue;
  if (are_new()) engine_.count().drops[static_cast<std::size_t>(drop::kernel_queue_full)].add_shared(now - before);
}

void endpoint::forget_looks() {
  looks now = looks::now;
  looks_.compare_exchange_strong(now, looks::before, std::memory_order_relaxed);
}

// What the old one holds is another process's memory: it isn't destroyed, but built over.
void endpoint::start_anew() {
  const ip_family family = socket_.family();
  std::construct_at(&socket_, engine_.sockets(), family);
  socket_.tag = this;
  socket_.lean_on_kernel();
  if (shared_ != &unshared_ && !engine_.family().use(*shared_, kernel_->cookie())) share(false);
  diverted_ = is_being_let_go_ = false;
  has_completed_.store(false, std::memory_order_relaxed);
  is_idle_ = is_fast();
  has_leftovers_.store(is_idle_, std::memory_order_release);
  const bool was_counted = kernel_->arrivals() != nullptr;
  kernel_->count_by(nullptr);
  kernel_->look();
  if (!was_counted && !has_foreign_filter_) has_foreign_filter_ = !take_over_filter();
  engine_.count_arrivals(*this);
  renew_descriptor();
}

// Its number is the program's, what is behind it was the other process's as well.
void endpoint::renew_descriptor() {
  if (descriptor_ < 0) return;
  const fastudp::descriptor fresh(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (fresh) (void)::dup3(fresh.number(), descriptor_, O_CLOEXEC);
  descriptor_is_readable_ = false;
}

// From now on datagrams come in here, too.
void endpoint::join(engine::turn& t) {
  is_idle_ = false;
  if (!is_fast()) return;
  const held_signals held;
  if (!engine_.family().knows(kernel_->cookie())) engine_.family().remember(kernel_->cookie());
  take_settings(t);
  if (!number_sends(t) || !is_fast()) return;
  settle(t);
  joins_seen_ = shared_->joins.fetch_add(1, std::memory_order_acq_rel) + 1;
  engine_.tell_family();
  if (held.deliver()) t.note_interrupt();
}

bool endpoint::is_others() {
  if (!is_fast()) return true;
  const std::uint32_t joins = shared_->joins.load(std::memory_order_acquire);
  if (joins == joins_seen_) return false;
  joins_seen_ = joins;
  return looks_.load(std::memory_order_relaxed) != looks::now && !engine_.is_awaited(*this);
}

bool endpoint::notice_unseen() {
  if (!is_left_unseen()) return false;
  engine_.count().by_kernel(kernel_reason::unseen_reader);
  return true;
}

bool endpoint::begin_to_let_go() {
  if (!kernel_ || socket_.local().port == 0) return false;
  stop_diverting();
  is_being_let_go_ = true;
  return true;
}

void endpoint::let_go() {
  if (!is_being_let_go_) return;
  is_being_let_go_ = false;
  move_input_to_kernel();
  if (socket_.held().is_holding()) (void)send_held_by_kernel(message_flag::more);
  if (is_fast()) {
    is_idle_ = true;
    forget_looks();
  } else {
    become_kernels(kernel_reason::forked, has_fast_input());
  }
  socket_.follow({}, nullptr);
  engine_.wake(*this);
}

// Closing: others that have it receive what came for it here.
void endpoint::leave_shared() {
  const bool is_here = diverted_ && engine_.family().has_spare_ends();
  stop_diverting();
  if (!is_here) return;
  engine_.take_all_in();
  move_input_to_kernel();
}

}  // namespace fastudp
