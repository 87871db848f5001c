// Bugs on purpose, one at a time, between the player and libc: the number stands in PLANTED. Each falsifies one thing,
// and the comparison has to notice every one of them.

#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

namespace {

enum bug : int {
  none,
  another_errno_of_bind,
  another_errno_of_connect,
  payload_cut_by_a_byte,
  swapped_port,
  lost_truncation,
  lost_control_truncation,
  lost_control_message,
  peek_consumes,
  truncated_length_returned,
  stranger_is_heard,
  never_readable,
  always_readable,
  select_changes_nothing,
  lost_error_event,
  edges_are_levels,
  shots_without_end,
  forgotten_error,
  ignored_ttl,
  undoubled_buffer,
  another_default,
  shutdown_without_peer,
  first_message_only,
  lost_empty_datagram,
  too_long_is_cut,
  nothing_to_read,
  ignored_nonblocking,
  empty_error_queue,
  wrong_interface,
  unnamed_port,
  refusal_swallowed,
  cut_name_length,
  byte_too_many,
  errno_of_success,
  ignored_v6_only,
  repeated_length,
  duplicate_at_another_number,
  bug_count
};

int planted() {
  static const int number = [] {
    const char* value = std::getenv("PLANTED");
    return value == nullptr ? 0 : std::atoi(value);
  }();
  return number;
}
bool is(bug which) { return planted() == which; }

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}
#define NEXT(name) static auto* const real = next<decltype(name)>(#name)

// Of a socket that only pretends to be connected.
sockaddr_storage peers[1024];
socklen_t peer_sizes[1024];
bool pretends(int fd) { return fd >= 0 && fd < 1024 && peer_sizes[fd] != 0; }

ssize_t after_receiving(ssize_t got, void* data, size_t size) {
  if (got > 1 && is(payload_cut_by_a_byte)) return got - 1;
  if (got >= 0 && is(byte_too_many) && static_cast<size_t>(got) < size) static_cast<char*>(data)[got] = 'x';
  if (got >= 0 && is(errno_of_success)) errno = EAGAIN;
  if (got < 0 && errno == ECONNREFUSED && is(refusal_swallowed)) errno = EAGAIN;
  return got;
}

int flags_for(int flags) {
  if (is(peek_consumes)) flags &= ~MSG_PEEK;
  if (is(truncated_length_returned)) flags &= ~MSG_TRUNC;
  return flags;
}

void falsify(msghdr& m) {
  if (is(lost_truncation)) m.msg_flags &= ~MSG_TRUNC;
  if (is(lost_control_truncation)) m.msg_flags &= ~MSG_CTRUNC;
  if (is(lost_control_message)) m.msg_controllen = 0;
  cmsghdr* const first = CMSG_FIRSTHDR(&m);
  const bool is_info = first != nullptr && first->cmsg_level == IPPROTO_IP && first->cmsg_type == IP_PKTINFO;
  if (is_info && first->cmsg_len >= CMSG_LEN(sizeof(int)) && is(wrong_interface)) std::memset(CMSG_DATA(first), 9, 1);
}

void swap_port(sockaddr* from, const socklen_t* length) {
  if (from == nullptr || length == nullptr || *length < sizeof(sockaddr_in) || !is(swapped_port)) return;
  auto& port = reinterpret_cast<sockaddr_in*>(from)->sin_port;
  port = static_cast<in_port_t>(port << 8 | port >> 8);
}

}  // namespace

extern "C" {

int planted_bugs() { return bug_count - 1; }

int bind(int fd, const sockaddr* address, socklen_t length) noexcept {
  NEXT(bind);
  const int out = real(fd, address, length);
  if (out < 0 && errno == EADDRINUSE && is(another_errno_of_bind)) errno = EADDRNOTAVAIL;
  return out;
}

int connect(int fd, const sockaddr* address, socklen_t length) {
  NEXT(connect);
  const int out = real(fd, address, length);
  if (out < 0 && errno == ENETUNREACH && is(another_errno_of_connect)) errno = EHOSTUNREACH;
  if (out != 0 || !is(stranger_is_heard) || address->sa_family == AF_UNSPEC || fd >= 1024) return out;
  peer_sizes[fd] = sizeof peers[fd];
  getpeername(fd, reinterpret_cast<sockaddr*>(&peers[fd]), &peer_sizes[fd]);
  const sockaddr nobody{};
  real(fd, &nobody, sizeof nobody);
  return out;
}

int getpeername(int fd, sockaddr* address, socklen_t* length) noexcept {
  NEXT(getpeername);
  if (!pretends(fd) || address == nullptr || length == nullptr) return real(fd, address, length);
  std::memcpy(address, &peers[fd], *length < peer_sizes[fd] ? *length : peer_sizes[fd]);
  *length = peer_sizes[fd];
  return 0;
}

int getsockname(int fd, sockaddr* address, socklen_t* length) noexcept {
  NEXT(getsockname);
  const int out = real(fd, address, length);
  if (out == 0 && is(unnamed_port) && *length >= 4 && address != nullptr) {
    auto& port = reinterpret_cast<sockaddr_in*>(address)->sin_port;
    if (ntohs(port) >= 32'768) port = 0;
  }
  return out;
}

int shutdown(int fd, int how) noexcept {
  NEXT(shutdown);
  const int out = real(fd, how);
  return out < 0 && errno == ENOTCONN && is(shutdown_without_peer) ? 0 : out;
}

int dup(int fd) noexcept {
  NEXT(dup);
  return is(duplicate_at_another_number) ? fcntl(fd, F_DUPFD, 70) : real(fd);
}

int fcntl(int fd, int command, ...) {
  NEXT(fcntl);
  va_list list;
  va_start(list, command);
  const long argument = va_arg(list, long);
  va_end(list);
  if (command == F_SETFL && is(ignored_nonblocking)) return 0;
  return real(fd, command, argument);
}

int ioctl(int fd, unsigned long request, ...) noexcept {
  NEXT(ioctl);
  va_list list;
  va_start(list, request);
  int* const argument = va_arg(list, int*);
  va_end(list);
  const int out = real(fd, request, argument);
  if (out == 0 && request == FIONREAD && is(nothing_to_read)) *argument = 0;
  return out;
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
  NEXT(getsockopt);
  const int out = real(fd, level, name, value, length);
  if (out != 0 || *length != sizeof(int)) return out;
  int& number = *static_cast<int*>(value);
  if (level == SOL_SOCKET && name == SO_ERROR && is(forgotten_error)) number = 0;
  if (level == SOL_SOCKET && name == SO_RCVBUF && is(undoubled_buffer)) number /= 2;
  if (level == IPPROTO_IP && name == IP_MTU_DISCOVER && number == 1 && is(another_default)) number = 0;
  return out;
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t length) noexcept {
  NEXT(setsockopt);
  if (level == IPPROTO_IP && name == IP_TTL && is(ignored_ttl)) return 0;
  if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY && is(ignored_v6_only)) return 0;
  return real(fd, level, name, value, length);
}

ssize_t sendto(int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t length) {
  NEXT(sendto);
  if (size == 0 && is(lost_empty_datagram)) return 0;
  if (size > 65'507 && is(too_long_is_cut)) size = 65'507;
  if (to == nullptr && pretends(fd)) {
    to = reinterpret_cast<const sockaddr*>(&peers[fd]);
    length = peer_sizes[fd];
  }
  const ssize_t out = real(fd, data, size, flags, to, length);
  return out < 0 && errno == ECONNREFUSED && is(refusal_swallowed) ? static_cast<ssize_t>(size) : out;
}

ssize_t send(int fd, const void* data, size_t size, int flags) { return sendto(fd, data, size, flags, nullptr, 0); }

int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  NEXT(sendmmsg);
  return real(fd, messages, count > 1 && is(first_message_only) ? 1 : count, flags);
}

ssize_t recvfrom(int fd, void* data, size_t size, int flags, sockaddr* from, socklen_t* length) {
  NEXT(recvfrom);
  const socklen_t room = length != nullptr ? *length : 0;
  const ssize_t got = after_receiving(real(fd, data, size, flags_for(flags), from, length), data, size);
  if (got < 0) return got;
  swap_port(from, length);
  if (length != nullptr && *length > room && is(cut_name_length)) *length = room;
  return got;
}

ssize_t recv(int fd, void* data, size_t size, int flags) { return recvfrom(fd, data, size, flags, nullptr, nullptr); }

ssize_t recvmsg(int fd, msghdr* m, int flags) {
  NEXT(recvmsg);
  if ((flags & MSG_ERRQUEUE) && is(empty_error_queue)) {
    errno = EAGAIN;
    return -1;
  }
  const ssize_t got = real(fd, m, flags_for(flags));
  if (got >= 0) falsify(*m);
  return got;
}

int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  NEXT(recvmmsg);
  const int got = real(fd, messages, count, flags, timeout);
  if (got > 1 && is(repeated_length)) messages[1].msg_len = messages[0].msg_len;
  return got;
}

int poll(pollfd* list, nfds_t count, int timeout) {
  NEXT(poll);
  int out = real(list, count, timeout);
  for (nfds_t i = 0; i < count; ++i) {
    if (is(never_readable)) list[i].revents &= ~POLLIN;
    if (is(always_readable) && (list[i].revents & POLLNVAL) == 0) list[i].revents |= list[i].events & POLLPRI;
  }
  return out;
}

int select(int count, fd_set* in, fd_set* out, fd_set* extra, timeval* timeout) {
  NEXT(select);
  if (!is(select_changes_nothing) || in == nullptr) return real(count, in, out, extra, timeout);
  const fd_set before = *in;
  const int found = real(count, in, out, extra, timeout);
  *in = before;
  return found;
}

int epoll_ctl(int set, int operation, int fd, epoll_event* event) noexcept {
  NEXT(epoll_ctl);
  if (event == nullptr) return real(set, operation, fd, event);
  epoll_event changed = *event;
  if (is(edges_are_levels)) changed.events &= ~EPOLLET;
  if (is(shots_without_end)) changed.events &= ~EPOLLONESHOT;
  return real(set, operation, fd, &changed);
}

int epoll_wait(int set, epoll_event* events, int most, int timeout) {
  NEXT(epoll_wait);
  const int found = real(set, events, most, timeout);
  for (int i = 0; i < found && is(lost_error_event); ++i) events[i].events &= ~EPOLLERR;
  return found;
}
}
