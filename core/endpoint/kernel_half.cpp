#include "endpoint/kernel_half.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "endpoint/engine.h"

namespace fastudp {
namespace {

constexpr std::size_t piece = companion::most_at_once;

// Room for a piece; each message is made when it is needed.
union message_room {
  message_room() {}
  kernel_message items[piece];
};

kernel_message to_kernel(const message& m) {
  return {.data = m.data, .control = m.control, .peer = m.peer, .has_peer = m.has_peer};
}

void write_back(const kernel_message& in, message& out) {
  out.data = in.data;
  out.control = in.control;
  out.peer = in.peer;
  out.has_peer = in.has_peer;
  out.length = in.length;
  out.flags = in.flags;
  out.frame = nullptr;
}

}  // namespace

bool kernel_half::may_have_something(time_point now) {
  if (look_) return true;
  // On loopback an error may be about what another socket has sent.
  const std::uint64_t sends = engine_.with_host() == sharing::loopback ? engine_.kernel_sends() : 0;
  const bool is_counted = arrivals_ != nullptr && now >= closely_until_ && sends == sends_looked_after_;
  if (is_counted) return arrivals_->load(std::memory_order_acquire) != seen_;
  engine_.look_at_kernel();
  sends_looked_after_ = sends;
  return look_;
}

bool kernel_half::may_be_ahead() const { return engine_.kernel_sends() != sends_seen_; }

bool kernel_half::is_ahead(bool is_shut) {
  const std::uint64_t sends = engine_.kernel_sends();
  if (sends == sends_seen_) return false;
  if (is_shut ? socket_.has_datagram() : (ask() & POLLIN) != 0) return true;
  sends_seen_ = sends;
  return false;
}

int kernel_half::ask() const {
  pollfd self{socket_.number(), POLLIN | POLLPRI, 0};
  return ::poll(&self, 1, 0) == 1 ? self.revents & (POLLIN | POLLPRI | POLLERR | POLLHUP) : 0;
}

int kernel_half::readiness(time_point now) {
  if (!may_have_something(now)) return 0;
  const std::uint64_t before = arrivals_ != nullptr ? arrivals_->load(std::memory_order_acquire) : 0;
  const int there = ask();
  look_ = there != 0;
  if (!look_) seen_ = before;
  return there;
}

result<std::size_t> kernel_half::receive(std::span<message> messages, int flags) {
  const std::uint64_t before = arrivals_ != nullptr ? arrivals_->load(std::memory_order_acquire) : 0;
  const auto got = receive_in_kernel(messages, flags | MSG_DONTWAIT);
  look_ = got || got.code() != EAGAIN || ask() != 0;  // the error queue, which is asked for by another call
  if (!look_) seen_ = before;
  return got;
}

result<std::size_t> kernel_half::receive_in_kernel(std::span<message> messages, int flags) {
  message_room batch;
  const std::size_t count = std::min(messages.size(), piece);
  for (std::size_t i = 0; i < count; ++i) std::construct_at(&batch.items[i], to_kernel(messages[i]));
  const auto got = socket_.receive({batch.items, count}, flags);
  for (std::size_t i = 0; got && i < *got; ++i) write_back(batch.items[i], messages[i]);
  return got;
}

result<std::size_t> kernel_half::send(std::span<const message> messages, int flags) {
  std::size_t sent = 0;
  do {
    message_room batch;
    const std::size_t count = std::min(messages.size() - sent, piece);
    for (std::size_t i = 0; i < count; ++i) std::construct_at(&batch.items[i], to_kernel(messages[sent + i]));
    const auto went = socket_.send({batch.items, count}, flags);
    if (!went) return sent != 0 ? result<std::size_t>(sent) : went.failure();
    sent += *went;
    if (*went < count) break;
  } while (sent < messages.size());
  return sent;
}

int kernel_half::take_expected_error(time_point now) {
  // On loopback the answer is there when the call that it is for returns, whoever called.
  const std::uint64_t sends = engine_.kernel_sends();
  const bool is_at_once = engine_.with_host() == sharing::loopback && sends != sends_asked_after_;
  sends_asked_after_ = sends;
  return now < error_until_ || is_at_once ? take_error() : 0;
}

int kernel_half::take_error() {
  int code = 0;
  const auto got = socket_.get_option(SOL_SOCKET, SO_ERROR, std::as_writable_bytes(std::span(&code, 1)));
  return got ? code : 0;
}

}  // namespace fastudp
