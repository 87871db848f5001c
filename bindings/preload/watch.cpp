#include "watch.h"

#include "epoll_set.h"
#include "fast_socket.h"
#include "library.h"
#include "real.h"

namespace preload {

bool watch::add(const fastudp_wait_item& item, const origin& from) { return items_.add(item) && origins_.add(from); }

bool watch::add_socket(fast_socket* pinned, short events, std::size_t owner) {
  origin from;
  from.owner = owner;
  from.socket = pinned;
  return add({.socket = pinned->handle(), .fd = -1, .events = events, .revents = 0}, from);
}

bool watch::add_descriptor(int fd, short events, std::size_t owner) {
  origin from;
  from.owner = owner;
  return add({.socket = nullptr, .fd = fd, .events = events, .revents = 0}, from);
}

bool watch::add_member(fast_socket* watched, short events, int known, const origin& from) {
  origin held = from;
  held.socket = watched;
  held.is_watched = true;
  return add({.socket = watched->handle(), .fd = known, .events = events, .revents = 0}, held);
}

bool watch::add_set(epoll_set* entered, int rouser, std::uint64_t generation) {
  origin from;
  from.set = entered;
  from.generation = generation;
  return add({.socket = nullptr, .fd = rouser, .events = 1, .revents = 0}, from);
}

int watch::wait(std::int64_t timeout, const sigset_t* mask) {
  return fastudp_wait(library::stack(), items_.begin(), items_.size(), timeout, mask);
}

int watch::wait_as_poll(std::int64_t timeout, const sigset_t* mask) {
  const int found = wait(timeout, mask);
  if (found != 0 || timeout != 0 || mask == nullptr) return found;
  // It hasn't slept, so that a signal that only the mask lets in hasn't been heard of.
  const timespec at_once{};
  return real.ppoll(nullptr, 0, &at_once, mask) < 0 ? -errno : 0;
}

void watch::pass_over(std::size_t i) {
  items_[i].socket = nullptr;
  items_[i].fd = -1;
  items_[i].revents = 0;
}

bool watch::was_roused() {
  for (std::size_t i = 0; i < size(); ++i) {
    if (origins_[i].set != nullptr && items_[i].revents != 0) return true;
  }
  return false;
}

void watch::clear() {
  for (const origin& each : origins_) {
    if (each.set != nullptr) each.set->leave(each.generation);
    if (each.socket != nullptr && each.is_watched) each.socket->end_watch();
    if (each.socket != nullptr && !each.is_watched) each.socket->unpin_soon();
  }
  origins_.clear();
  items_.clear();
}

}  // namespace preload
