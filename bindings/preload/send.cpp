// Sending. What doesn't translate exactly is sent by libc's own function on the same descriptor, and counted.

#include <limits.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "address.h"
#include "call.h"
#include "messages.h"
#include "passing.h"
#include "payload.h"
#include "real.h"
#include "user_rules.h"

using namespace preload;

namespace {

constexpr int known_flags = flags_with(send_flags, fate::fast);

bool flags_translate(const call& c, int flags) {
  if (flags & MSG_MORE) c->sends_pieces.store(true, std::memory_order_relaxed);
  return (flags & ~known_flags) == 0;
}

bool is_fast(const cmsghdr& control) {
  return std::any_of(std::begin(send_controls), std::end(send_controls), [&](const control_row& row) {
    return row.level == control.cmsg_level && row.type == control.cmsg_type && row.fate == fate::fast;
  });
}

bool control_translates(const msghdr& m) {
  if (m.msg_controllen == 0) return true;
  if (m.msg_control == nullptr || m.msg_controllen > UINT32_MAX) return false;
  for (cmsghdr* each = CMSG_FIRSTHDR(&m); each != nullptr; each = CMSG_NXTHDR(const_cast<msghdr*>(&m), each)) {
    if (!is_fast(*each)) return false;
  }
  return true;
}

// False: the kernel has to look at it.
bool translate(const msghdr& m, payload& body, fastudp_msg& out) {
  out = {};
  const bool has_name = m.msg_name != nullptr && m.msg_namelen != 0;
  if (static_cast<int>(m.msg_namelen) < 0) return false;
  if (has_name && !preload::translate(static_cast<const sockaddr*>(m.msg_name), m.msg_namelen, out.peer)) return false;
  if (!control_translates(m) || !body.name(m.msg_iov, m.msg_iovlen) || body.has_null()) return false;
  body.gather();
  out.data = body.data();
  out.size = limited(body.size());
  out.control = m.msg_controllen != 0 ? m.msg_control : nullptr;
  out.control_len = static_cast<std::uint32_t>(m.msg_controllen);
  return true;
}

// Before libc sends. All pieces of a datagram must go one way; and Linux binds a socket that sends, which both halves
// have to know of.
void prepare_kernel(const call& c, cause why) {
  if (c->sends_pieces.load(std::memory_order_relaxed)) c.hand_over(why);
  fastudp_addr here{};
  if (fastudp_socket_local_addr(c.handle(), &here) == 0 && here.port == 0) (void)fastudp_socket_bind(c.handle(), &here);
}

template <typename Otherwise>
ssize_t counted(const call& c, const Otherwise& otherwise, cause why = cause::option) {
  prepare_kernel(c, why);
  const ssize_t sent = otherwise();
  c.count(0, sent < 0 ? 0 : 1, why);
  return sent;
}

// -EOPNOTSUPP: fastudp doesn't know what was asked for. Linux may.
template <typename Otherwise>
ssize_t send_one(const call& c, const fastudp_msg& m, int flags, const Otherwise& otherwise) {
  if (user_rules::goes_by_kernel(c, m.peer)) return counted(c, otherwise, cause::rule);
  const int sent = fastudp_send(c.handle(), &m, 1, flags);
  if (sent == -EOPNOTSUPP) return counted(c, otherwise);
  return sent < 0 ? give(sent) : static_cast<ssize_t>(m.size);
}

ssize_t send_data(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t length) {
  const call c(fd, direction::sending);
  const auto otherwise = [&] { return real.sendto(fd, data, size, flags, to, length); };
  if (!c) return otherwise();
  fastudp_msg m{};
  const bool translates = flags_translate(c, flags) && (data != nullptr || size == 0) &&
                          (to == nullptr || preload::translate(to, length, m.peer));
  if (!translates) return counted(c, otherwise);
  m.data = const_cast<void*>(data);
  m.size = limited(size);
  return send_one(c, m, flags, otherwise);
}

ssize_t send_message(const call& c, int fd, const msghdr* m, int flags) {
  const auto otherwise = [&] { return real.sendmsg(fd, m, flags); };
  payload body;
  fastudp_msg out;
  if (!flags_translate(c, flags) || m == nullptr || !translate(*m, body, out)) return counted(c, otherwise);
  return send_one(c, out, flags, otherwise);
}

ssize_t send_pieces(int fd, const iovec* pieces, int count, int flags) {
  msghdr m{};
  m.msg_iov = const_cast<iovec*>(pieces);
  m.msg_iovlen = static_cast<size_t>(count);
  const call c(fd, direction::sending);
  const bool fits = c && count >= 0 && count <= IOV_MAX;
  return fits ? send_message(c, fd, &m, flags) : real.writev(fd, pieces, count);
}

// As many messages as can go in one burst: each in one piece, and translatable. The rest goes one by one.
unsigned translate_burst(const call& c, const mmsghdr* messages, unsigned count, fastudp_msg* out, std::size_t room) {
  unsigned n = 0;
  for (; n < count && n < room && messages[n].msg_hdr.msg_iovlen <= 1; ++n) {
    payload body;
    if (!translate(messages[n].msg_hdr, body, out[n]) || user_rules::goes_by_kernel(c, out[n].peer)) break;
  }
  return n;
}

// Returns how many went, or -errno of the first.
int send_burst(const call& c, int fd, mmsghdr* messages, unsigned count, int flags) {
  fastudp_msg burst[64];
  const unsigned n = translate_burst(c, messages, count, burst, std::size(burst));
  const int sent = n == 0 ? -EOPNOTSUPP : fastudp_send(c.handle(), burst, n, flags);
  if (sent != -EOPNOTSUPP) {
    for (int i = 0; i < sent; ++i) messages[i].msg_len = burst[i].size;
    return sent;
  }
  const ssize_t size = send_message(c, fd, &messages->msg_hdr, flags);
  if (size < 0) return -errno;
  messages->msg_len = static_cast<unsigned>(size);
  return 1;
}

// Stops at the first that fails, which is only told when it was the first of all.
int send_all(const call& c, int fd, mmsghdr* messages, unsigned count, int flags) {
  const int error = errno;
  unsigned done = 0;
  while (done < count) {
    const int sent = send_burst(c, fd, messages + done, count - done, flags);
    if (sent <= 0 && done == 0) return give_int(sent);
    if (sent <= 0) break;
    done += static_cast<unsigned>(sent);
  }
  errno = error;
  return static_cast<int>(done);
}

int send_many(int fd, mmsghdr* messages, unsigned count, int flags) {
  const call c(fd, direction::sending);
  if (c && messages != nullptr && flags_translate(c, flags)) {
    return send_all(c, fd, messages, std::min(count, 1024u), flags);
  }
  if (c) prepare_kernel(c, cause::option);
  for (unsigned i = 0; !c && messages != nullptr && i < std::min(count, 1024u); ++i) {
    if (!before_passing(&messages[i].msg_hdr)) return -1;
  }
  const int sent = real.sendmmsg(fd, messages, count, flags);
  if (c) c.count(0, sent);
  return sent;
}

}  // namespace

ssize_t hook::send(int fd, const void* data, size_t size, int flags) {
  return send_data(fd, data, size, flags, nullptr, 0);
}

ssize_t hook::sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t length) {
  return send_data(fd, data, size, flags, to, length);
}

ssize_t hook::sendmsg(int fd, const msghdr* m, int flags) {
  const call c(fd, direction::sending);
  if (c) return send_message(c, fd, m, flags);
  return before_passing(m) ? real.sendmsg(fd, m, flags) : -1;
}

int hook::sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  return send_many(fd, messages, count, flags);
}

ssize_t hook::write(int fd, const void* data, size_t size) {
  const call c(fd, direction::sending);
  if (!c || (data == nullptr && size != 0)) return real.write(fd, data, size);
  fastudp_msg m{};
  m.data = const_cast<void*>(data);
  m.size = limited(size);
  return send_one(c, m, 0, [&] { return real.write(fd, data, size); });
}

ssize_t hook::writev(int fd, const iovec* pieces, int count) { return send_pieces(fd, pieces, count, 0); }

// A socket has no places: only "at the current one" succeeds, which is a plain write.
ssize_t hook::pwritev2(int fd, const iovec* pieces, int count, off_t at, int flags) {
  if (at != -1 || table.load(fd).socket() == nullptr) return real.pwritev2(fd, pieces, count, at, flags);
  return hook::writev(fd, pieces, count);
}

ssize_t hook::pwritev64v2(int fd, const iovec* pieces, int count, off_t at, int flags) {
  return hook::pwritev2(fd, pieces, count, at, flags);
}
