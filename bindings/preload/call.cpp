#include "call.h"

namespace preload {

void call::begin(int fd, direction way) {
  if (way != direction::none) end_if_cancelled();
  fast_socket* pinned = pin_socket(fd);
  if (pinned == nullptr) return;
  mark_.enter(pinned);
  if (mark_) {
    socket_ = pinned;
    return;
  }
  if (way != direction::none) pinned->count_nested(way == direction::receiving);
  pinned->unpin_soon();
}

void call::end() {
  socket_->tell_nested();
  if (fast_socket::has_dead()) [[unlikely]]
    fast_socket::bury_the_dead();
  mark_.leave();
  socket_->unpin();
}

void call::count(std::int64_t received, std::int64_t sent, cause why) const {
  const auto at_least_0 = [](std::int64_t n) { return n < 0 ? 0 : static_cast<std::uint64_t>(n); };
  fastudp_socket_count(handle(), at_least_0(received), at_least_0(sent), library::reason(why));
}

bool call::hand_over(cause why) const {
  const int outcome = fastudp_socket_hand_over(handle(), library::reason(why));
  if (outcome < 0) errno = -outcome;
  return outcome >= 0;
}

}  // namespace preload
