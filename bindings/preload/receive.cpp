#include "receive.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "address.h"
#include "call.h"
#include "clock.h"
#include "messages.h"
#include "passing.h"
#include "payload.h"
#include "real.h"

using namespace preload;

namespace {

// To UDP the other flags mean nothing, or are about the answer; one is forbidden.
constexpr int known_flags = flags_with(receive_flags, fate::fast);
constexpr int forbidden_flag = INT_MIN;  // MSG_CMSG_COMPAT

bool flags_translate(int flags) { return (flags & forbidden_flag) == 0; }

bool has_timeout(const call& c) {
  timeval timeout{};
  std::size_t size = sizeof timeout;
  if (fastudp_socket_get_option(c.handle(), SOL_SOCKET, SO_RCVTIMEO, &timeout, &size) != 0) return false;
  return timeout.tv_sec != 0 || timeout.tv_usec != 0;
}

bool all_handlers_restart() {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction now;
    if (sigaction(signal, nullptr, &now) != 0) continue;
    const bool is_handled = (now.sa_flags & SA_SIGINFO) || (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN);
    if (is_handled && !(now.sa_flags & SA_RESTART)) return false;
  }
  return true;
}

// Which handler ran can't be known afterwards; with a timeout Linux never goes on.
bool goes_on_after_signal(const call& c) {
  const int error = errno;
  const bool goes_on = !has_timeout(c) && all_handlers_restart();
  errno = error;
  return goes_on;
}

fastudp_msg room_at(void* data, std::size_t size) {
  fastudp_msg out{};
  out.data = data;
  out.size = data == nullptr ? 0 : static_cast<std::uint32_t>(std::min<std::size_t>(size, INT_MAX));
  return out;
}

bool translate(const msghdr& m, payload& body, fastudp_msg& out) {
  if ((m.msg_name != nullptr && static_cast<int>(m.msg_namelen) < 0) || !body.name(m.msg_iov, m.msg_iovlen))
    return false;
  out = room_at(body.data(), body.size());
  out.control = m.msg_control;
  out.control_len = m.msg_control == nullptr ? 0 : limited(m.msg_controllen);
  return true;
}

// Empty stands for the end after a shutdown.
void write_back(const fastudp_msg& in, int flags, msghdr& m) {
  if (m.msg_name != nullptr) store(in.peer, static_cast<sockaddr*>(m.msg_name), &m.msg_namelen);
  m.msg_controllen = in.control_len;
  m.msg_flags = static_cast<int>(in.flags & (FASTUDP_TRUNC | FASTUDP_CTRUNC)) | (flags & MSG_CMSG_CLOEXEC);
  if (flags & MSG_ERRQUEUE) m.msg_flags |= MSG_ERRQUEUE;
}

ssize_t size_of(const fastudp_msg& m, int flags) { return static_cast<ssize_t>(flags & MSG_TRUNC ? m.length : m.size); }

// Linux takes the datagram from the queue before it finds that it can't be stored.
bool is_lost(const fastudp_msg& m, const void* data, size_t size) {
  return data == nullptr && size != 0 && (m.length != 0 || (m.flags & FASTUDP_TRUNC) != 0);
}

template <typename Otherwise>
ssize_t counted(const call& c, int flags, const Otherwise& otherwise) {
  const ssize_t received = otherwise();
  c.count(received < 0 || (flags & (MSG_PEEK | MSG_ERRQUEUE)) ? 0 : 1, 0);
  return received;
}

template <typename Otherwise>
ssize_t receive_data(const call& c, void* data, size_t size, int flags, sockaddr* from, socklen_t* length,
                     const Otherwise& otherwise) {
  fastudp_msg m = room_at(data, size);
  const int received = receive(c, &m, 1, flags);
  if (received == -EOPNOTSUPP) return counted(c, flags, otherwise);
  if (received < 0) return give(received);
  if (received == 0) m = {};
  const int fault = is_lost(m, data, size) ? -EFAULT : from != nullptr ? store(m.peer, from, length) : 0;
  return fault < 0 ? give(fault) : size_of(m, flags);
}

ssize_t receive_from(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* length) {
  const call c(fd, direction::receiving);
  const auto otherwise = [&] { return real.recvfrom(fd, data, size, flags, from, length); };
  return c ? receive_data(c, data, size, flags, from, length, otherwise) : otherwise();
}

template <typename Otherwise>
ssize_t receive_message(const call& c, msghdr* m, int flags, const Otherwise& otherwise) {
  payload body;
  fastudp_msg in;
  if (m == nullptr || !flags_translate(flags) || !translate(*m, body, in)) return counted(c, flags, otherwise);
  const int received = receive(c, &in, 1, flags);
  if (received == -EOPNOTSUPP) return counted(c, flags, otherwise);
  if (received < 0) return give(received);
  if (received == 0) in = {};
  if (body.is_beyond(in.length) || is_lost(in, body.data(), body.size())) return give(-EFAULT);
  body.scatter(in.size);
  write_back(in, flags, *m);
  return size_of(in, flags);
}

// A read of nothing takes nothing, unlike a recv.
[[gnu::noinline]] ssize_t read_whole(int fd, void* data, size_t size) {
  const call c(fd, direction::receiving);
  const auto otherwise = [&] { return real.read(fd, data, size); };
  return c && size != 0 ? receive_data(c, data, size, 0, nullptr, nullptr, otherwise) : otherwise();
}

[[gnu::noinline]] ssize_t read_pieces(int fd, const iovec* pieces, int count, int flags) {
  msghdr m{};
  m.msg_iov = const_cast<iovec*>(pieces);
  m.msg_iovlen = static_cast<size_t>(count);
  const call c(fd, direction::receiving);
  payload body;
  if (!c || count < 0 || !body.name(pieces, static_cast<size_t>(count)) || body.size() == 0) {
    return real.readv(fd, pieces, count);
  }
  return receive_message(c, &m, flags, [&] { return real.recvmsg(fd, &m, flags); });
}

ssize_t receive_foreign(int fd, msghdr* m, int flags) {
  const ssize_t received = real.recvmsg(fd, m, flags);
  if (received >= 0 && m->msg_controllen != 0) after_receiving(m);
  return received;
}

[[gnu::noinline]] ssize_t receive_any(int fd, msghdr* m, int flags) {
  const call c(fd, direction::receiving);
  return c ? receive_message(c, m, flags, [&] { return real.recvmsg(fd, m, flags); }) : receive_foreign(fd, m, flags);
}

// Room for a burst, each message in one piece; others go one by one.
unsigned translate_burst(const mmsghdr* messages, unsigned count, fastudp_msg* out, std::size_t room) {
  unsigned n = 0;
  for (; n < count && n < room && messages[n].msg_hdr.msg_iovlen <= 1; ++n) {
    payload body;
    if (!translate(messages[n].msg_hdr, body, out[n]) || body.has_null()) break;
  }
  return n;
}

// Where the kernel doesn't know of it.
bool raises_pending_error(const call& c) {
  int pending = 0;
  std::size_t size = sizeof pending;
  if (fastudp_socket_get_option(c.handle(), SOL_SOCKET, SO_ERROR, &pending, &size) != 0 || pending == 0) return false;
  errno = pending;
  return true;
}

// Returns how many came, or -errno.
int receive_burst(const call& c, int fd, mmsghdr* messages, unsigned count, int flags) {
  fastudp_msg burst[64];
  const unsigned n = flags_translate(flags) ? translate_burst(messages, count, burst, std::size(burst)) : 0;
  const int received = n == 0 ? -EOPNOTSUPP : receive(c, burst, n, flags);
  if (received > 0) {
    for (int i = 0; i < received; ++i) {
      write_back(burst[i], flags, messages[i].msg_hdr);
      messages[i].msg_len = static_cast<unsigned>(size_of(burst[i], flags));
    }
    return received;
  }
  if (received < 0 && received != -EOPNOTSUPP) return received;
  // Linux tells a pending error before it looks at the messages.
  const auto otherwise = [&] {
    if (library::is_alone() && raises_pending_error(c)) return ssize_t{-1};
    const int one = real.recvmmsg(fd, messages, 1, flags, nullptr);
    return one == 1 ? static_cast<ssize_t>(messages->msg_len) : one;
  };
  const ssize_t size = receive_message(c, &messages->msg_hdr, flags, otherwise);
  if (size < 0) return -errno;
  messages->msg_len = static_cast<unsigned>(size);
  return 1;
}

// Linux looks at the clock after each datagram only; here after each burst, which is as long as it took.
class patience {
 public:
  explicit patience(timespec* timeout) : timeout_(timeout), limit_(timeout ? now_ns() + to_ns(*timeout) : 0) {}
  bool is_over() {
    if (timeout_ == nullptr) return false;
    const std::int64_t left = std::max<std::int64_t>(limit_ - now_ns(), 0);
    *timeout_ = to_timespec(left);
    return left == 0;
  }

 private:
  timespec* timeout_;
  std::int64_t limit_;
};

// With a timeout of nothing the first datagram is all there is time for.
unsigned most_at_once(const timespec* timeout, unsigned count) {
  return timeout != nullptr && to_ns(*timeout) == 0 ? 1 : count;
}

int receive_many(const call& c, int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  const int error = errno;
  patience left(timeout);
  unsigned done = 0;
  while (done < count) {
    const unsigned wanted = std::min(count - done, most_at_once(timeout, count));
    const int received = receive_burst(c, fd, messages + done, wanted, flags);
    if (received < 0 && done == 0) return give_int(received);
    if (received < 0) break;
    done += static_cast<unsigned>(received);
    if (flags & MSG_WAITFORONE) flags |= MSG_DONTWAIT;
    if (left.is_over()) break;
  }
  errno = error;
  return static_cast<int>(done);
}

}  // namespace

int preload::receive(const call& c, fastudp_msg* messages, std::size_t count, int flags) {
  int wanted = flags & known_flags;
  if (c->nonblocking.load(std::memory_order_relaxed)) wanted |= FASTUDP_DONTWAIT;
  int received;
  do {
    received = fastudp_recv(c.handle(), messages, count, wanted);
  } while (received == -EINTR && goes_on_after_signal(c));
  return received;
}

ssize_t hook::recv(int fd, void* data, size_t size, int flags) {
  if (is_foreign(fd)) [[likely]]
    return real.recv(fd, data, size, flags);
  return receive_from(fd, data, size, flags, nullptr, nullptr);
}

ssize_t hook::recvfrom(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* length) {
  if (is_foreign(fd)) [[likely]]
    return real.recvfrom(fd, data, size, flags, from, length);
  return receive_from(fd, data, size, flags, from, length);
}

ssize_t hook::recvmsg(int fd, msghdr* m, int flags) {
  return is_foreign(fd) ? receive_foreign(fd, m, flags) : receive_any(fd, m, flags);
}

// Linux tells a pending error before it looks at the messages, even of a call for none.
static int error_of_own(const call& c) {
  int pending = 0;
  std::size_t size = sizeof pending;
  if (!c || !library::is_alone()) return 0;
  return fastudp_socket_get_option(c.handle(), SOL_SOCKET, SO_ERROR, &pending, &size) == 0 ? pending : 0;
}

int hook::recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  const call c(fd, direction::receiving);
  const bool waits_sanely = timeout == nullptr || is_sane(*timeout);
  const bool is_for_none = (messages == nullptr || count == 0) && !(flags & MSG_ERRQUEUE);
  if (const int pending = is_for_none && waits_sanely ? error_of_own(c) : 0) return give_int(-pending);
  if (c && messages != nullptr && flags_translate(flags) && waits_sanely) {
    return receive_many(c, fd, messages, std::min(count, 1024u), flags, timeout);
  }
  const int received = real.recvmmsg(fd, messages, count, flags, timeout);
  if (c) c.count(received, 0);
  for (int i = 0; !c && i < received; ++i) after_receiving(&messages[i].msg_hdr);
  return received;
}

// libc's checked forms end the program when the room is too small; what is in order takes the plain way.
ssize_t hook::__recv_chk(int fd, void* data, size_t size, size_t room, int flags) {
  if (size > room) return real.__recv_chk(fd, data, size, room, flags);
  return receive_from(fd, data, size, flags, nullptr, nullptr);
}

ssize_t hook::__recvfrom_chk(int fd, void* data, size_t size, size_t room, int flags, sockaddr* from,
                             socklen_t* length) {
  if (size > room) return real.__recvfrom_chk(fd, data, size, room, flags, from, length);
  return receive_from(fd, data, size, flags, from, length);
}

ssize_t hook::read(int fd, void* data, size_t size) {
  if (is_foreign(fd)) [[likely]]
    return real.read(fd, data, size);
  return read_whole(fd, data, size);
}

ssize_t hook::__read_chk(int fd, void* data, size_t size, size_t room) {
  return size > room ? real.__read_chk(fd, data, size, room) : hook::read(fd, data, size);
}

ssize_t hook::readv(int fd, const iovec* pieces, int count) {
  return is_foreign(fd) ? real.readv(fd, pieces, count) : read_pieces(fd, pieces, count, 0);
}

ssize_t hook::preadv2(int fd, const iovec* pieces, int count, off_t at, int flags) {
  if (at != -1 || table.load(fd).socket() == nullptr) return real.preadv2(fd, pieces, count, at, flags);
  return read_pieces(fd, pieces, count, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0);
}

ssize_t hook::preadv64v2(int fd, const iovec* pieces, int count, off_t at, int flags) {
  return hook::preadv2(fd, pieces, count, at, flags);
}
