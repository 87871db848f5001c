// What a socket that was left to the kernel still has in its fast queue: it is received first.

#include <sys/socket.h>

#include <algorithm>
#include <span>

#include "endpoint/endpoint.h"

namespace fastudp {

// A place to look at (SO_PEEK_OFF) counts the bytes of what is left here before those of what the kernel has.
void endpoint::split_place() {
  const int there = std::max(socket_.settings().peek_offset - static_cast<int>(socket_.bytes_waiting()), 0);
  (void)kernel_->socket().set_option(SOL_SOCKET, SO_PEEK_OFF, std::as_bytes(std::span(&there, 1)));
}

// Who has come to the kernel's has looked at all that is here.
void endpoint::join_place() {
  int there = 0;
  if (is_fast() || !kernel_->socket().get_option(SOL_SOCKET, SO_PEEK_OFF, std::as_writable_bytes(std::span(&there, 1))))
    return;
  if (there > 0) socket_.settings().peek_offset = static_cast<int>(socket_.bytes_waiting()) + there;
}

int endpoint::leftovers() const {
  const bool has_datagrams = has_leftovers_.load(std::memory_order_acquire);
  const bool has_completions = !engine_.is_guest() && socket_.errors_waiting();
  return (has_datagrams ? ready::readable : 0) | (has_completions ? ready::error : 0);
}

status endpoint::check_leftovers(int flags, time_point now) {
  // The bytes of two queues have no common order.
  const bool looks_at_place = kernel_ && is_fast() && socket_.settings().peek_offset >= 0 && !engine_.is_strict();
  const auto kernel_has_some = [&] {  // and isn't only shut
    return (kernel_->readiness(now) & ready::readable) != 0 && kernel_->socket().has_datagram();
  };
  if (looks_at_place && kernel_has_some()) leave_to_kernel(kernel_reason::option);
  if (!kernel_ || is_fast() || has_datagram(flags) || socket_.has_pending_error()) return {};
  return has_fast_input() ? error{left_to_kernel} : no_leftovers();
}

error endpoint::no_leftovers() {
  has_leftovers_.store(false, std::memory_order_release);
  return error{left_to_kernel};
}

result<std::size_t> endpoint::take_leftovers(std::span<message> messages, int flags) {
  if (socket_.settings().peek_offset < 0) return take_fast(messages, flags);
  join_place();
  const auto got = take_fast(messages, flags);
  split_place();
  return got;
}

}  // namespace fastudp
