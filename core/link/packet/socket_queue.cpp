#include "link/packet/socket_queue.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <new>

namespace fastudp::af_packet {
namespace {

constexpr std::size_t room_size = virtio_header_length + longest_super_packet;

void note_facts(const msghdr& header, received_frame& out) {
  const cmsghdr* said = CMSG_FIRSTHDR(&header);
  if (said == nullptr || said->cmsg_level != SOL_PACKET || said->cmsg_type != PACKET_AUXDATA) return;
  tpacket_auxdata facts;
  std::memcpy(&facts, CMSG_DATA(said), sizeof facts);
  note_status(out, facts.tp_status, facts.tp_vlan_tci, facts.tp_vlan_tpid);
}

}  // namespace

result<socket_queue> socket_queue::open(int socket, reason& why) {
  const int on = 1;
  if (::setsockopt(socket, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) != 0)
    return why.fail(errno, "a packet socket doesn't tell of tags: %m");
  socket_queue out;
  out.socket_ = socket;
  out.room_.reset(new (std::nothrow) std::byte[room_size]);
  if (out.room_ == nullptr) return why.fail(ENOMEM, "no memory for the longest frame");
  return out;
}

bool socket_queue::next(received_frame& out) {
  iovec room{room_.get(), room_size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(tpacket_auxdata))];
  msghdr header{};
  header.msg_iov = &room;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t size = ::recvmsg(socket_, &header, MSG_DONTWAIT);
  if (size < static_cast<ssize_t>(virtio_header_length)) return false;
  out = {};
  out.header = room_.get();
  out.bytes = {room_.get() + virtio_header_length, static_cast<std::size_t>(size) - virtio_header_length};
  const bool is_cut = (header.msg_flags & MSG_TRUNC) != 0;
  out.length = out.bytes.size() + (is_cut ? 1 : 0);
  note_facts(header, out);
  return true;
}

bool socket_queue::is_empty() const {
  pollfd self{socket_, POLLIN, 0};
  return ::poll(&self, 1, 0) == 0;
}

}  // namespace fastudp::af_packet
