// The engine's dealings with the host's kernel: whose datagrams come in by the link, and which companions have
// something.

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "base/byte_order.h"
#include "endpoint/endpoint.h"
#include "endpoint/engine.h"

namespace fastudp {

void engine::load_steering() {
  if (steering_was_tried_) return;
  steering_was_tried_ = true;
  reason why;
  auto loaded = steering::load(why);
  if (loaded) {
    steering_ = std::move(*loaded);
  } else {
    without_bpf_ = why;
  }
}

// ---- Companions

status engine::watch_companion(endpoint& of) {
  epoll_event wanted{.events = EPOLLIN | EPOLLERR | EPOLLET, .data = {.ptr = &of}};
  const int fd = of.kernel()->socket().number();
  return ::epoll_ctl(watched_.number(), EPOLL_CTL_ADD, fd, &wanted) == 0 ? status{} : error{errno};
}

status engine::watch_host() {
  epoll_event wanted{.events = EPOLLIN, .data = {.ptr = nullptr}};
  return ::epoll_ctl(watched_.number(), EPOLL_CTL_ADD, view_->wait_fd(), &wanted) == 0 ? status{} : error{errno};
}

status engine::watch(endpoint& of) {
  if (auto watched = watch_companion(of); !watched) return watched;
  link_in(of);
  count_arrivals(of);
  return {};
}

// A socket has one filter: where it has to keep datagrams out, or is the program's, it can't count them.
void engine::count_arrivals(endpoint& of) {
  const bool keeps_out = with_host() == sharing::interface && !is_steered();
  if (kernel_only_ || keeps_out || !of.filter().empty() || of.has_foreign_filter()) return;
  load_steering();
  if (steering_ == nullptr) return;
  const family::guard held(family_);
  if (const auto counted = steering_->watch(of.kernel()->socket().number())) of.kernel()->count_by(*counted);
}

void engine::stop_counting(endpoint& of) {
  if (of.kernel()->arrivals() == nullptr) return;
  const family::guard held(family_);
  steering_->unwatch(of.kernel()->arrivals());
  of.kernel()->count_by(nullptr);
  of.kernel()->socket().detach();
  of.kernel()->look();
}

void engine::unwatch(endpoint& of) {
  ::epoll_ctl(watched_.number(), EPOLL_CTL_DEL, of.kernel()->socket().number(), nullptr);
  if (of.kernel()->arrivals() != nullptr) {
    const family::guard held(family_);
    steering_->unwatch(of.kernel()->arrivals());
  }
  of.kernel()->count_by(nullptr);
  link_out(of);
}

void engine::link_in(endpoint& of) {
  of.next = first_;
  of.previous = nullptr;
  if (first_ != nullptr) first_->previous = &of;
  first_ = &of;
}

void engine::link_out(endpoint& of) {
  (of.previous != nullptr ? of.previous->next : first_) = of.next;
  if (of.next != nullptr) of.next->previous = of.previous;
  of.next = of.previous = nullptr;
}

void engine::look_at_kernel() {
  if (first_ == nullptr && view_ == nullptr) return;
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(watched_.number(), events.data(), events.size(), 0);
  for (int i = 0; i < count; ++i) {
    auto* of = static_cast<endpoint*>(events[static_cast<std::size_t>(i)].data.ptr);
    if (of == nullptr) {
      view_->update();
      continue;
    }
    of->kernel()->look();
    room_.wake_one(of);
    of->became_ready();
  }
}

void engine::kernel_has_error(udp_socket& socket) {
  auto* of = static_cast<endpoint*>(socket.tag);
  if (of == nullptr || of->kernel() == nullptr) return;
  of->kernel()->expect_error(clock_.coarse());
  became_ready(socket);
}

int engine::take_kernel_error(udp_socket& socket, time_point now) {
  auto* of = static_cast<endpoint*>(socket.tag);
  return of != nullptr && of->kernel() != nullptr ? of->kernel()->take_expected_error(now) : 0;
}

bool engine::kernel_is_ahead(udp_socket& socket) {
  auto* of = static_cast<endpoint*>(socket.tag);
  return of != nullptr && of->kernel() != nullptr && of->kernel()->is_ahead(socket.is_shut_for_reading());
}

void engine::wake(endpoint& of) { room_.wake_all(&of); }

bool engine::has(std::uint64_t cookie) const {
  for (const endpoint* each = first_; each != nullptr; each = each->next) {
    if (each->kernel()->cookie() == cookie) return each->is_fast();
  }
  return is_steered() && family_.knows(cookie);
}

// ---- Claims

status engine::prepare_to_divert(endpoint& of) {
  if (with_host() != sharing::interface || is_steered() || health_.is_gone()) return {};
  // Addresses that nobody knows here would be lost: the filter can't tell them apart.
  if (!view_->knows_all_addresses()) return error{ENOSPC};
  return of.kernel()->socket().keep_out(link_->info().interface, of.filter().program());
}

void engine::divert(endpoint& of) {
  if (is_steered()) change_claims(of, true);
  if (with_host() == sharing::interface && of.is_unseen()) watchman_.look_out();
}

void engine::undivert(endpoint& of) {
  if (with_host() != sharing::interface) return;
  if (is_steered()) {
    change_claims(of, false);
  } else {
    of.kernel()->socket().let_in(of.filter().program());
  }
}

// A claim doesn't tell them apart: what is for the one that is the kernel's would be the other's.
void engine::leave_port_to_kernel(const endpoint& of, const endpoint_address& local) {
  if (with_host() != sharing::interface || local.port == 0) return;
  for (endpoint* each = first_; each != nullptr; each = each->next) {
    if (each != &of && each->is_fast()) each->leave_if_in_the_way_of(local);
  }
}

// ---- Readers that no call shows

bool engine::has_unseen_sockets() {
  becoming_.acquire();
  const bool is_ours = acquire_if_ours();
  becoming_.give_up();
  if (!is_ours) return false;
  bool found = false;
  for (endpoint* each = first_; each != nullptr && !found; each = each->next) {
    found = each->is_diverted() && each->is_unseen();
  }
  if (found) (void)link_->arm();
  lock_.give_up();
  return found;
}

// Where other processes may come to read a socket, it is only this one that doesn't receive for it, until it looks.
void engine::leave_unseen_to_kernel() {
  if (!has_unseen_sockets()) return;  // a turn would tell a child of fork that the stack is in use
  turn t(*this);
  work(t);
  if (family_.has_spare_ends()) return let_go_of([](endpoint& each) { return each.notice_unseen(); });
  for (endpoint* each = first_; each != nullptr; each = each->next) each->leave_if_unseen(t);
}

// From the IP header on; within a frame the headers stand before the payload, of which a filter may have cut off some.
bool engine::give_to_kernel(packet& datagram) {
  if (!reinjector_) return false;
  constexpr std::uint32_t length_at = 4;
  std::byte* udp_header = datagram.frame + datagram.transport;
  const std::size_t length = load_network<std::uint16_t>(udp_header + length_at);
  const std::span<std::byte> whole(datagram.frame + datagram.network, udp_header + length);
  return bool(reinjector_->give(whole));
}

bool engine::is_claimed_by_another(const endpoint& of, const claim& flow) const {
  for (const endpoint* other = first_; other != nullptr; other = other->next) {
    if (other == &of || !other->is_diverted()) continue;
    const auto [local, remote] = other->place();
    if (other->is_reached_at(flow.local) && local.port == flow.local_port && remote.port == flow.remote_port &&
        (remote.port == 0 || remote.address == flow.remote)) {
      return true;
    }
  }
  return false;
}

// A wildcard is claimed address by address: so what goes to other hosts through this one isn't touched.
void engine::change_claims(endpoint& of, bool add) {
  const auto place = of.place();
  if (place.local.port == 0 || (add && !health_.has_programs())) return;
  for (const ip_prefix& ours : stack_->addresses().all()) {
    if (!of.is_reached_at(ours.address)) continue;
    const claim wanted{.local = ours.address,
                       .remote = place.remote.port != 0 ? place.remote.address : ip_address(),
                       .local_port = place.local.port,
                       .remote_port = place.remote.port};
    const family::guard held(family_);
    if (add) {
      (void)steering_->add(wanted, end_);  // claimed already, or no room: then the kernel brings them
    } else if (!is_claimed_by_another(of, wanted)) {
      steering_->remove(wanted, end_);
    }
  }
}

void engine::change_all_claims(bool add) {
  if (!is_steered()) return;
  for (endpoint* each = first_; each != nullptr; each = each->next) {
    if (each->is_diverted()) change_claims(*each, add);
  }
}

void engine::addresses_will_change() { change_all_claims(false); }

void engine::addresses_changed() { change_all_claims(true); }

// ---- Whether the link is well

void engine::look_around(turn& t) {
  look_at_host(t);
  if (health_.is_due(t.now())) look_at_link(t);
}

void engine::look_at_link(turn& t) {
  if (guest_) return;
  if (!link_->has_device()) interface_is(false, true);
  if (steering_ != nullptr && !is_confined_ && !health_.is_gone()) look_at_programs();
  health_.looked(t.now());
}

void engine::look_at_programs() {
  if (steering_->is_attached()) return programs_are(true);
  const auto again = steering_->attach_again();
  if (again && health_.has_programs()) count().by_kernel(kernel_reason::link_lost);
  programs_are(again || again.code() == EEXIST);  // another process of the family was quicker
  if (again.code() == ENODEV) interface_is(false, true);
}

// A claim that nobody heeds at tc would make what comes by the link come by the kernel as well.
void engine::programs_are(bool attached) {
  if (!health_.note_programs(attached)) return;
  if (attached) {
    change_all_claims(true);
  } else if (is_steered()) {
    const family::guard held(family_);
    steering_->remove_member(end_);
  }
  stack_->out().set_trouble(health_.trouble());
  count_trouble();
}

// The next interface that is given its number is another one, whose datagrams no filter may keep out.
void engine::interface_is(bool is_usable, bool is_gone) {
  const bool changes = health_.note_interface(is_usable, is_gone);
  stack_->out().set_trouble(health_.trouble());
  if (!changes) return;
  count_trouble();
  if (!health_.is_gone() || with_host() != sharing::interface || is_steered()) return;
  for (endpoint* each = first_; each != nullptr; each = each->next) {
    each->kernel()->socket().let_in(each->filter().program());
  }
}

void engine::count_trouble() {
  if (health_.trouble() != kernel_reason::count) count().by_kernel(health_.trouble());
}

// ---- Waiting for many things

// What is there; of a descriptor that was watched what poll has said.
int engine::look_at(wait_item& item, const pollfd& watched, time_point now) {
  if (item.socket == nullptr) return watched.revents;
  auto& of = *static_cast<endpoint*>(item.socket);
  const int asked = item.events | ready::error | ready::hang_up;
  if ((item.events & ready::edge) != 0) return of.edge(item.fd, asked, now);
  if (watched.fd < 0) return of.readiness(now, asked) & asked;
  return watched.revents | (of.leftovers() & (item.events | ready::error));
}

std::size_t engine::look_at(std::span<wait_item> items, std::span<pollfd> watched, time_point now) {
  std::size_t ready_items = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const int there = look_at(items[i], watched[i], now);
    items[i].revents = static_cast<std::int16_t>(there);
    ready_items += there != 0;
  }
  return ready_items;
}

// What poll has to look at for it: -1: nothing.
int engine::descriptor_for(const wait_item& item) const {
  if (item.socket == nullptr) return item.fd;
  const auto& of = *static_cast<const endpoint*>(item.socket);
  const bool is_kernels = of.kernel() != nullptr && !of.is_fast() && (item.events & ready::edge) == 0;
  return is_kernels ? of.kernel()->socket().number() : -1;
}

result<std::size_t> engine::wait_for_any(turn& t, std::span<wait_item> items, time_point limit,
                                         const sigset_t* signal_mask) {
  constexpr std::size_t few = 61;
  pollfd on_stack[few + wish::reserved];
  std::unique_ptr<pollfd[]> on_heap;
  if (items.size() > few) on_heap.reset(new (std::nothrow) pollfd[items.size() + wish::reserved]);
  if (items.size() > few && on_heap == nullptr) return error{ENOMEM};
  const std::span<pollfd> all(on_heap != nullptr ? on_heap.get() : on_stack, items.size() + wish::reserved);
  const std::span<pollfd> watched = all.subspan(wish::reserved);
  bool any_descriptor = false;
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto* of = static_cast<endpoint*>(items[i].socket);
    if (of != nullptr) of->look(t);
    if (of != nullptr && guest_) of->become_guest();
    const int fd = descriptor_for(items[i]);
    watched[i] = {fd, items[i].events, 0};
    any_descriptor |= fd >= 0;
  }
  waiter* w = room_.enter({.any_of = items, .only_looks = true, .watched = all, .signal_mask = signal_mask});
  if (w == nullptr) return error{ENOMEM};
  result<std::size_t> outcome = std::size_t{0};
  for (bool first = true;; first = false) {
    work(t);
    if (first && any_descriptor) (void)!::poll(watched.data(), watched.size(), 0);
    if (outcome = look_at(items, watched, t.now()); *outcome != 0) break;
    t.look_at_clock();
    if (clock_.is_hand_held() || t.now() >= limit) break;
    if (first && t.is_interrupted()) {
      outcome = error{EINTR};
      break;
    }
    const auto slept = guest_ ? room_.sleep_alone(*w, limit) : room_.sleep(*w, *link_, limit, deadline());
    if (guest_) {
      t.look_at_clock();
    } else {
      woke_up(t, *w);
    }
    if (!slept) {
      outcome = slept.failure();
      break;
    }
  }
  room_.leave(*w);
  return outcome;
}

}  // namespace fastudp
