// The engine's dealings with forks: who works with a stack, and how processes share out what comes in.

#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "endpoint/endpoint.h"
#include "endpoint/engine.h"
#include "endpoint/held_signals.h"

namespace fastudp {

// ---- Around fork

status engine::prepare_fork(reason& why) {
  becoming_.acquire();
  status outcome = error{is_confined_ ? EPERM : EOPNOTSUPP};
  if (!is_confined_ && !family_.has_spare_ends() && is_steered()) outcome = link_->set_ends_aside(why);
  if (outcome) family_.add_ends();
  becoming_.give_up();
  return family_.has_spare_ends() ? status{} : outcome;
}

// Whoever isn't the owner works with nothing that the lock is for, and its holder may have been killed.
void engine::before_fork() {
  reason ignored;
  if (first_ != nullptr) (void)prepare_fork(ignored);
  becoming_.acquire();
  is_locked_for_fork_ = acquire_if_ours();
  if (is_locked_for_fork_) owner_.before_fork(room_.is_awaited(nullptr) || (is_steered() && helper_runs_));
}

void engine::after_fork_in_parent() {
  for (endpoint* each = first_; each != nullptr; each = each->next) each->forget_looks();
  if (is_locked_for_fork_) lock_.give_up();
  becoming_.give_up();
  if (reinjector_ && first_ != nullptr) watchman_.listen();
}

// The threads that waited are the parent's, and so is the helper.
void engine::after_fork_in_child() {
  for (endpoint* each = first_; each != nullptr; each = each->next) each->forget_looks();
  owner_.start_as_child();
  stacks_made_ = 0;
  lock_.forget_holder();
  becoming_.give_up();
  room_.forget_all();
  helper_runs_ = false;
  watchman_.forget();
}

// ---- Whose the stack is

bool engine::acquire_if_ours() {
  while (owner_.is_ours()) {
    if (lock_.try_acquire()) {
      if (owner_.is_ours()) return true;
      lock_.give_up();
    }
    ::sched_yield();
  }
  return false;
}

void engine::acquire_as_another() {
  while (!lock_.try_acquire()) {
    if (owner_.owner_is_gone()) lock_.renew();
    ::sched_yield();
  }
}

void engine::leave_and_enter_as_another(turn& t) {
  lock_.give_up();
  enter_as_another(t);
}

void engine::enter_as_another(turn& t) {
  if (!guest_) become_somebody(t);
  if (guest_) return acquire_as_another();
  lock_.acquire();
  owner_.use();
}

// It takes long to make a stack, or to wait until another thread has cleared away what would be in the way of that.
void engine::become_somebody(turn& t) {
  const held_signals held;
  becoming_.acquire();
  if (!guest_ && !owner_.is_ours()) become_heir_or_relative();
  becoming_.give_up();
  if (held.deliver()) t.note_interrupt();
}

void engine::become_heir_or_relative() {
  acquire_as_another();
  const bool is_heir = !link_->info().stays_with_process && owner_.take_over();
  if (is_heir) become_owner();
  lock_.give_up();
  if (!is_heir && !become_relative()) become_guest();
}

void engine::become_guest() {
  guest_ = true;
  (void)stats_.take_another();
}

// The parent still has the set of descriptors that it watched.
bool engine::watch_anew() {
  const descriptor fresh(::epoll_create1(EPOLL_CLOEXEC));
  if (!fresh || ::dup3(fresh.number(), watched_.number(), O_CLOEXEC) < 0) return false;
  for (endpoint* each = first_; each != nullptr; each = each->next) (void)watch_companion(*each);
  return true;
}

void engine::become_owner() {
  while (closed_ != nullptr) {
    endpoint* const closed = std::exchange(closed_, closed_->next);
    link_in(*closed);
    --open_sockets;
    delete closed;
  }
  if (!watch_anew()) return;
  if (view_ != nullptr) (void)watch_host();
  if (had_helper_) (void)start_helper();
  if (with_host() == sharing::interface) watchman_.look_out();
}

bool engine::close_elsewhere(endpoint& of) {
  becoming_.acquire();
  const bool is_elsewhere = !owner_.is_ours();
  if (is_elsewhere && !guest_ && of.kernel() != nullptr) {
    link_out(of);
    of.next = std::exchange(closed_, &of);
  }
  becoming_.give_up();
  if (is_elsewhere) of.count_kernels_losses();
  return is_elsewhere;
}

// ---- A stack of one's own, on an end of the link of one's own

result<unsigned> engine::take_end() {
  const auto spare = family_.take_end(owner_.me());
  if (spare) return spare;
  clear_away_the_dead();
  return family_.take_end(owner_.me());
}

// Who forks for each datagram, and lets the child receive it, would make a stack as often.
bool engine::become_relative() {
  constexpr unsigned most_stacks = 2;
  if (!is_steered() || !family_.has_spare_ends() || is_confined_ || stacks_made_ == most_stacks) return false;
  ++stacks_made_;
  const auto end = take_end();
  if (!end) return false;
  if (start_anew(*end)) return true;
  link_->close_end(*end);
  family_.end(*end).holder.store(0, std::memory_order_release);
  return false;
}

// All of the old stack stays where it is: its memory is shared with the process whose it is.
bool engine::start_anew(unsigned end) {
  reason ignored;
  (void)stats_.take_another();
  device_losses_.leave();
  auto device = link_->open_end(end, count(), ignored);
  if (!device) return false;
  const buffer_limits limits = sockets_.limits();
  std::construct_at(&sockets_, count(), static_cast<socket_events&>(*this), limits);
  settings_.seed = random_seed();
  auto made = stack::create(**device, count(), sockets_, settings_);
  if (!made || !sockets_.open(**made) || !room_.start_anew() || !lock_.share()) return false;
  (void)std::exchange(stack_, std::move(*made)).release();
  (void)std::exchange(link_, std::move(*device)).release();
  end_ = end;
  closed_ = nullptr;
  family_.news_are_seen();
  for (endpoint* each = first_; each != nullptr; each = each->next) each->start_anew();
  if (!watch_anew() || !open_host_view(ignored)) return false;
  owner_.begin(family_.end(end));
  if (had_helper_) (void)start_helper();
  tell_family();  // who we are, for those who look after each other
  watchman_.look_out();
  return true;
}

void engine::prepare_exec() {
  count_last_losses();
  if (!is_steered() || !family_.has_spare_ends() || !owner_.is_ours()) return;
  const turn t(*this);
  let_go_of([](endpoint&) { return true; });
  const family::guard held(family_);
  steering_->remove_member(end_);
  family_.end(end_).holder.store(0, std::memory_order_release);
}

// Whoever hasn't received yet becomes what he would become then.
void engine::prepare_sandbox() {
  if (is_undecided()) {
    const turn decided(*this);
  }
  count_last_losses();
  is_confined_ = true;
}

// ---- Looking after each other

// Whoever clears away says so by the negative of his number: so nobody takes over meanwhile, and if he is killed
// another one goes on.
bool engine::begin_to_clear_away(unsigned end) {
  const family::guard held(family_);
  const pid_t me = owner_.me();
  pid_t holder = family_.end(end).holder.load(std::memory_order_acquire);
  const pid_t process = std::abs(holder);
  if (process == 0 || process == me || !has_ended(process)) return false;
  if (!family_.end(end).holder.compare_exchange_strong(holder, -me, std::memory_order_acq_rel)) return false;
  steering_->remove_member(end);
  return true;
}

// First they receive nothing any more. To close their ends takes long, and isn't waited for by other processes.
void engine::clear_away_the_dead() {
  if (!family_.has_spare_ends()) return;  // whoever takes over the only end has to find whose it was
  bool is_dead[most_ends];
  for (unsigned end = 0; end < most_ends; ++end) is_dead[end] = begin_to_clear_away(end);
  for (unsigned end = 0; end < most_ends; ++end) {
    if (!is_dead[end]) continue;
    link_->close_end(end);
    family_.end(end).holder.store(0, std::memory_order_release);
  }
}

pid_t engine::relative_at(unsigned end) const {
  const pid_t process = std::abs(family_.end(end).holder.load(std::memory_order_acquire));
  return is_steered() && process != owner_.me() ? process : 0;
}

void engine::look_after_family() {
  becoming_.acquire();
  if (is_steered()) clear_away_the_dead();
  const bool is_ours = acquire_if_ours();
  becoming_.give_up();
  if (!is_ours) return;
  if (family_.has_news()) follow_news();
  lock_.give_up();
}

void engine::take_all_in() {
  constexpr int most_bursts = 256;
  for (int i = 0; i < most_bursts && stack_->poll(clock_.coarse(), burst::capacity) != 0; ++i) continue;
}

// Their claims go first, so that nothing comes for them once all is in that has come.
void engine::let_go_of(bool (*is_chosen)(endpoint&)) {
  bool any = false;
  for (endpoint* each = first_; each != nullptr; each = each->next) any |= is_chosen(*each) && each->begin_to_let_go();
  if (!any) return;
  take_all_in();
  for (endpoint* each = first_; each != nullptr; each = each->next) each->let_go();
}

void engine::follow_news() {
  family_.news_are_seen();
  let_go_of([](endpoint& each) { return each.is_others(); });
}

}  // namespace fastudp
