// Datagrams that a program gives in pieces (UDP_CORK, MSG_MORE). One that the kernel has to send is held by the kernel
// from its first piece on, or goes there whole when it turns out so at its end.

#include <array>

#include "endpoint/control.h"
#include "endpoint/endpoint.h"

namespace fastudp {

status endpoint::send_piece(const message& m, const send_choices& choices, bool more, time_point now) {
  const cork& held = socket_.held();
  const std::size_t before = held.is_holding() ? held.payload().size() : 0;
  auto outcome = socket_.send_piece(m.data, m.has_peer ? &m.peer : nullptr, choices, more, now);
  if (outcome.code() == left_to_kernel && held.is_holding()) {
    const bool is_whole = held.payload().size() == before + m.data.size();
    const auto sent = send_held_by_kernel(is_whole ? 0 : message_flag::more);
    if (is_whole) outcome = sent;
  }
  if (outcome && m.frame != nullptr) give_back(m.frame);
  return outcome;
}

// All that is held, in one piece. Within a turn, so without waiting.
status endpoint::send_held_by_kernel(int flags) {
  cork& held = socket_.held();
  alignas(cmsghdr) std::array<std::byte, 256> room;
  message m{.data = held.payload(),
            .peer = held.to(),
            .has_peer = true,
            .control = write_control(held.choices(), held.to().address.family(), room)};
  const auto sent = kernel_->send({&m, 1}, flags | message_flag::dont_wait);
  kernel_->expect_answer(engine_.time().coarse());
  kernel_holds_.store(flags != 0, std::memory_order_relaxed);
  if (sent && flags == 0) count_kernel(0, count_segments(m), socket_.why_kernel());
  held.discard();
  flags != 0 ? kernel_pieces_.store(held.completes()) : socket_.complete_sends(held.completes());
  return sent ? status{} : held.excuse(sent.failure());
}

// What follows goes with it there.
void endpoint::give_held_to_kernel() {
  own_turn t(*this);
  if (!engine_.is_guest() && socket_.held().is_holding()) (void)send_held_by_kernel(message_flag::more);
}

// What that sends, and whether it can, isn't the option's affair.
void endpoint::take_cork_out(engine::turn& t) {
  if (kernel_holds_.exchange(false, std::memory_order_relaxed))
    count_kernel(0, 1, is_fast() ? kernel_reason::option : handed_over_for_);
  if (engine_.is_guest()) return;  // what is held is the owner's
  socket_.complete_sends(kernel_pieces_.exchange(0));
  if (!socket_.held().is_holding()) return;
  if (socket_.push(t.now()).code() == left_to_kernel) (void)send_held_by_kernel(0);
  engine_.finish_sending(t);
}

}  // namespace fastudp
