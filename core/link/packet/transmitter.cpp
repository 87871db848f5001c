#include "link/packet/transmitter.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>

#include "link/virtio_header.h"
#include "packet/burst.h"

namespace fastudp::af_packet {

// Messages for the kernel, each of a frame or a super-packet.
struct transmitter::outgoing {
  void add(std::span<packet* const> frames) {
    iovec* const from = parts.data() + used;
    if (frames.size() > 1) {
      joined[count].join(frames, from);
      used += frames.size() + 1;
    } else {
      from[0] = nothing_left_undone();
      from[1] = {frames[0]->data(), frames[0]->length};
      used += 2;
    }
    messages[count] = {};
    messages[count].msg_hdr.msg_iov = from;
    messages[count++].msg_hdr.msg_iovlen = static_cast<std::size_t>(parts.data() + used - from);
  }

  std::array<iovec, 2 * burst::capacity> parts;
  std::array<super_packet, burst::capacity> joined;
  std::array<mmsghdr, burst::capacity> messages;
  std::size_t used = 0, count = 0;
};

void transmitter::send(std::span<packet* const> frames) {
  joiner::division sizes;
  const std::size_t count = joiner_.divide(frames, sizes);
  if (count == frames.size()) {
    send_apart(frames);
  } else {
    send_joined(frames, sizes, count);
  }
}

// The ring costs a lone frame no more than a message does, and each of many about a quarter less.
std::size_t transmitter::send_apart(std::span<packet* const> frames) {
  return ring_ ? send_by_ring(frames) : send_by_message(frames);
}

std::size_t transmitter::send_by_ring(std::span<packet* const> frames) {
  std::size_t sent = 0;
  while (!frames.empty()) {
    const auto went = ring_->send(frames);
    sent += went.sent;
    frames = frames.subspan(went.sent);
    if (went.is_refused) {
      count_.dropped(drop::link_error);
      frames = frames.subspan(1);
    } else if (went.sent == 0) {
      lose(frames.size(), went.problem == 0 ? ENOBUFS : went.problem);
      break;
    }
  }
  return sent;
}

std::size_t transmitter::send_by_message(std::span<packet* const> frames) {
  outgoing out;
  for (std::size_t i = 0; i < frames.size(); ++i) out.add(frames.subspan(i, 1));
  std::size_t lost = 0;
  for (std::size_t done = 0; done < frames.size();) {
    const auto left = static_cast<unsigned>(frames.size() - done);
    const int went = ::sendmmsg(socket_, &out.messages[done], left, MSG_DONTWAIT);
    if (went <= 0) lose(1, errno), ++lost;
    done += went > 0 ? static_cast<std::size_t>(went) : 1;
  }
  return frames.size() - lost;
}

// A super-packet may be refused because the kernel or the device doesn't know its kind, or, as a frame, because there
// is no room for it. Which it was shows when its frames go by themselves, as does the rest of the burst; of a lack of
// room on the socket the kernel says so.
void transmitter::send_joined(std::span<packet* const> frames, const joiner::division& sizes, std::size_t count) {
  outgoing out;
  for (std::size_t i = 0, at = 0; i < count; at += sizes[i++]) out.add(frames.subspan(at, sizes[i]));
  for (std::size_t done = 0; done < count;) {
    const int went = ::sendmmsg(socket_, &out.messages[done], static_cast<unsigned>(count - done), MSG_DONTWAIT);
    const int problem = errno;
    for (int i = 0; i < went; ++i) frames = frames.subspan(sizes[done++]);
    if (went > 0) continue;
    if (sizes[done] > 1) {
      if (send_apart(frames) != 0 && problem != EAGAIN) joiner_.refused();
      return;
    }
    lose(1, problem);
    frames = frames.subspan(sizes[done++]);
  }
  joiner_.accepted();
}

// A full device, or one that is down, loses what it is given, as it does with the kernel's own.
void transmitter::lose(std::size_t frames, int problem) {
  const bool is_full = problem == ENOBUFS || problem == EAGAIN;
  count_.dropped(is_full ? drop::link_tx_full : drop::link_error, frames);
}

}  // namespace fastudp::af_packet
