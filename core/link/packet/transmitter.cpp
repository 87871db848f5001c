#include "link/packet/transmitter.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>

#include "link/virtio_header.h"
#include "packet/burst.h"

namespace fastudp::af_packet {
namespace {

using parts = std::array<iovec, 2>;

parts parts_of(packet& frame) { return {nothing_left_undone(), iovec{frame.data(), frame.length}}; }

msghdr message_of(parts& of) {
  msghdr out{};
  out.msg_iov = of.data();
  out.msg_iovlen = of.size();
  return out;
}

}  // namespace

// The ring costs a lone frame no more than a message does, and each of many about a quarter less.
void transmitter::send(std::span<packet* const> frames) { ring_ ? send_by_ring(frames) : send_by_message(frames); }

void transmitter::send_by_ring(std::span<packet* const> frames) {
  while (!frames.empty()) {
    const auto went = ring_->send(frames);
    frames = frames.subspan(went.sent);
    if (went.is_refused) {
      count_.dropped(drop::link_error);
      frames = frames.subspan(1);
    } else if (went.sent == 0) {
      return lose(frames.size(), went.problem == 0 ? ENOBUFS : went.problem);
    }
  }
}

void transmitter::send_by_message(std::span<packet* const> frames) {
  std::array<parts, burst::capacity> of;
  std::array<mmsghdr, burst::capacity> messages;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    of[i] = parts_of(*frames[i]);
    messages[i] = {.msg_hdr = message_of(of[i]), .msg_len = 0};
  }
  for (std::size_t done = 0; done < frames.size();) {
    const auto left = static_cast<unsigned>(frames.size() - done);
    const int went = ::sendmmsg(socket_, &messages[done], left, MSG_DONTWAIT);
    if (went <= 0) lose(1, errno);
    done += went > 0 ? static_cast<std::size_t>(went) : 1;
  }
}

// A full device, or one that is down, loses what it is given, as it does with the kernel's own.
void transmitter::lose(std::size_t frames, int problem) {
  const bool is_full = problem == ENOBUFS || problem == EAGAIN;
  count_.dropped(is_full ? drop::link_tx_full : drop::link_error, frames);
}

}  // namespace fastudp::af_packet
