// Sending. What doesn't translate exactly is sent by libc's own function on the same descriptor, and counted.

#include <limits.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "address.h"
#include "call.h"
#include "passing.h"
#include "payload.h"
#include "real.h"
#include "user_rules.h"

using namespace preload;

namespace {

// MSG_CMSG_COMPAT: to some calls it means nothing; others are the kernel's to refuse.
constexpr int compat_flag = INT_MIN;

// What fastudp doesn't know of flags and control messages it leaves to the companion itself. Of a probe (MSG_PROBE,
// which libc calls so) Linux sends nothing, and no more than one at a time.
bool flags_translate(const call& c, int flags) {
  if (flags & MSG_MORE) c->sends_pieces.store(true, std::memory_order_relaxed);
  return (flags & compat_flag) == 0 && ((flags & MSG_PROXY) == 0 || library::is_alone());
}

bool control_translates(const msghdr& m) {
  return m.msg_controllen == 0 || (m.msg_control != nullptr && m.msg_controllen <= UINT32_MAX);
}

// To a socket of IPv4 an address of IPv6 is a wrong one, also if it is a mapped one: the kernel's to refuse.
bool translate_to(const call& c, const void* name, socklen_t length, fastudp_addr& to) {
  return preload::translate(static_cast<const sockaddr*>(name), length, to) &&
         (to.family == FASTUDP_IPV4 || !c->is_ipv4());
}

// False: the kernel has to look at it.
bool translate(const call& c, const msghdr& m, payload& body, fastudp_msg& out) {
  out = {};
  const bool has_name = m.msg_name != nullptr && m.msg_namelen != 0;
  if (m.msg_name != nullptr && static_cast<int>(m.msg_namelen) < 0) return false;
  if (has_name && !translate_to(c, m.msg_name, m.msg_namelen, out.peer)) return false;
  if (!control_translates(m) || !body.name(m.msg_iov, m.msg_iovlen)) return false;
  if (body.has_null() && !library::is_alone()) return false;
  if (!body.has_null()) body.gather();
  out.data = body.has_null() ? nullptr : body.data();
  out.size = limited(body.size());
  out.control = m.msg_controllen != 0 ? m.msg_control : nullptr;
  out.control_len = static_cast<std::uint32_t>(m.msg_controllen);
  return true;
}

// Before libc sends: all pieces of a datagram must go one way.
void prepare_kernel(const call& c, cause why) {
  if (c->sends_pieces.load(std::memory_order_relaxed)) c.hand_over(why);
}

template <typename Otherwise>
ssize_t counted(const call& c, const Otherwise& otherwise, cause why = cause::option) {
  prepare_kernel(c, why);
  const ssize_t sent = otherwise();
  c.count(0, sent < 0 ? 0 : 1, why);
  return sent;
}

int send_fast(const call& c, const fastudp_msg* messages, std::size_t count, int flags) {
  const int sent = fastudp_send(c.handle(), messages, count, flags);
  // To Linux one that can't be read has been sent and is gone again; a probe never was.
  if ((sent > 0 || sent == -EFAULT) && !(flags & (FASTUDP_MORE | MSG_PROXY)))
    c->sends.fetch_add(1, std::memory_order_relaxed);
  return sent;
}

// -EOPNOTSUPP: fastudp doesn't know what was asked for. Linux may.
template <typename Otherwise>
ssize_t send_one(const call& c, const fastudp_msg& m, int flags, const Otherwise& otherwise) {
  if (user_rules::goes_by_kernel(c, m.peer)) return counted(c, otherwise, cause::rule);
  const int sent = send_fast(c, &m, 1, flags);
  if (sent == -EOPNOTSUPP && !library::is_alone()) return counted(c, otherwise);
  return sent < 0 ? give(sent) : static_cast<ssize_t>(m.size);
}

ssize_t send_data(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t length) {
  const call c(fd, direction::sending);
  const auto otherwise = [&] { return real.sendto(fd, data, size, flags, to, length); };
  if (!c) return otherwise();
  fastudp_msg m{};
  flags &= ~compat_flag;
  const bool translates = flags_translate(c, flags) && (data != nullptr || size == 0 || library::is_alone()) &&
                          (to == nullptr || translate_to(c, to, length, m.peer));
  if (!translates) return counted(c, otherwise);
  m.data = const_cast<void*>(data);
  m.size = limited(size);
  return send_one(c, m, flags, otherwise);
}

ssize_t send_message(const call& c, int fd, const msghdr* m, int flags) {
  const auto otherwise = [&] { return real.sendmsg(fd, m, flags); };
  payload body;
  fastudp_msg out;
  if (!flags_translate(c, flags) || m == nullptr || !translate(c, *m, body, out)) return counted(c, otherwise);
  return send_one(c, out, flags, otherwise);
}

bool is_empty(const iovec* pieces, int count) {
  return std::all_of(pieces, pieces + count, [](const iovec& each) { return each.iov_len == 0; });
}

// A writev of nothing sends nothing, unlike a write or a sendmsg.
ssize_t send_pieces(int fd, const iovec* pieces, int count, int flags) {
  msghdr m{};
  m.msg_iov = const_cast<iovec*>(pieces);
  m.msg_iovlen = static_cast<size_t>(count);
  const call c(fd, direction::sending);
  const bool fits = c && count >= 0 && count <= IOV_MAX && pieces != nullptr && !is_empty(pieces, count);
  return fits ? send_message(c, fd, &m, flags) : real.writev(fd, pieces, count);
}

[[gnu::noinline]] ssize_t send_whole(int fd, const void* data, size_t size) {
  const call c(fd, direction::sending);
  if (!c || (data == nullptr && size != 0 && !library::is_alone())) return real.write(fd, data, size);
  fastudp_msg m{};
  m.data = const_cast<void*>(data);
  m.size = limited(size);
  return send_one(c, m, 0, [&] { return real.write(fd, data, size); });
}

ssize_t send_foreign(int fd, const msghdr* m, int flags) {
  return before_passing(fd, m) ? real.sendmsg(fd, m, flags) : -1;
}

[[gnu::noinline]] ssize_t send_any(int fd, const msghdr* m, int flags) {
  const call c(fd, direction::sending);
  return c ? send_message(c, fd, m, flags) : send_foreign(fd, m, flags);
}

// As many messages as can go in one burst: each in one piece, and translatable. The rest goes one by one.
unsigned translate_burst(const call& c, const mmsghdr* messages, unsigned count, fastudp_msg* out, std::size_t room) {
  unsigned n = 0;
  for (; n < count && n < room && messages[n].msg_hdr.msg_iovlen <= 1; ++n) {
    payload body;
    if (!translate(c, messages[n].msg_hdr, body, out[n]) || user_rules::goes_by_kernel(c, out[n].peer)) break;
  }
  return n;
}

// Linux ends where something is left of a message: of one that is but a probe, all.
bool ends_burst(int flags, std::int64_t size) { return (flags & MSG_PROXY) != 0 && size != 0; }

// Returns how many went, or -errno of the first. `goes_on`: all that were tried went.
int send_burst(const call& c, int fd, mmsghdr* messages, unsigned count, int flags, bool& goes_on) {
  fastudp_msg burst[64];
  const unsigned n = translate_burst(c, messages, count, burst, std::size(burst));
  const int sent = n == 0 ? -EOPNOTSUPP : send_fast(c, burst, n, flags);
  goes_on = sent == static_cast<int>(n) && !ends_burst(flags, n != 0 ? burst[n - 1].size : 0);
  if (sent != -EOPNOTSUPP || (n != 0 && library::is_alone())) {
    for (int i = 0; i < sent; ++i) messages[i].msg_len = burst[i].size;
    return sent;
  }
  const ssize_t size = send_message(c, fd, &messages->msg_hdr, flags);
  if (size < 0) return -errno;
  goes_on = !ends_burst(flags, size);
  messages->msg_len = static_cast<unsigned>(size);
  return 1;
}

// Stops at the first that fails, which is only told when it was the first of all.
int send_all(const call& c, int fd, mmsghdr* messages, unsigned count, int flags) {
  const int error = errno;
  unsigned done = 0;
  for (bool goes_on = true; goes_on && done < count;) {
    const int sent = send_burst(c, fd, messages + done, count - done, flags, goes_on);
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
    if (!before_passing(fd, &messages[i].msg_hdr)) return -1;
  }
  const int sent = real.sendmmsg(fd, messages, count, flags);
  if (c) c.count(0, sent);
  return sent;
}

}  // namespace

ssize_t hook::send(int fd, const void* data, size_t size, int flags) {
  if (is_foreign(fd)) [[likely]]
    return real.send(fd, data, size, flags);
  return send_data(fd, data, size, flags, nullptr, 0);
}

ssize_t hook::sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t length) {
  if (is_foreign(fd)) [[likely]]
    return real.sendto(fd, data, size, flags, to, length);
  return send_data(fd, data, size, flags, to, length);
}

ssize_t hook::sendmsg(int fd, const msghdr* m, int flags) {
  return is_foreign(fd) ? send_foreign(fd, m, flags) : send_any(fd, m, flags);
}

int hook::sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  return send_many(fd, messages, count, flags);
}

ssize_t hook::write(int fd, const void* data, size_t size) {
  if (is_foreign(fd)) [[likely]]
    return real.write(fd, data, size);
  return send_whole(fd, data, size);
}

ssize_t hook::writev(int fd, const iovec* pieces, int count) {
  return is_foreign(fd) ? real.writev(fd, pieces, count) : send_pieces(fd, pieces, count, 0);
}

// A socket has no places: only "at the current one" succeeds, which is a plain write.
ssize_t hook::pwritev2(int fd, const iovec* pieces, int count, off_t at, int flags) {
  if (at != -1 || table.load(fd).socket() == nullptr) return real.pwritev2(fd, pieces, count, at, flags);
  return hook::writev(fd, pieces, count);
}

ssize_t hook::pwritev64v2(int fd, const iovec* pieces, int count, off_t at, int flags) {
  return hook::pwritev2(fd, pieces, count, at, flags);
}
