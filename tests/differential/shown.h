/* What a printed sequence needs to stand on its own: each call with what it shows. Run on the kernel and under
 * `fastudp run`, the output differs where the sockets do. */
#ifndef DIFFERENTIAL_SHOWN_H
#define DIFFERENTIAL_SHOWN_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "newer.h"

static int fd[10];
static unsigned char payload[100000], room[200][100000];

static void begin(void) {
  for (unsigned i = 0; i < sizeof payload; ++i) payload[i] = (unsigned char)(i * 2654435761u >> 24);
  for (int i = 0; i < 10; ++i) fd[i] = -1;
}

static int show_result(const char* call, long result) {
  const int error = errno;
  printf("%.60s = %ld %s\n", call, result, error != 0 ? strerrorname_np(error) : "");
  return (int)result;
}
#define SHOW(call) (errno = 0, show_result(#call, (long)(call)))

#define BYTES(...) ((unsigned char[]){__VA_ARGS__})
#define PROGRAM(bytes) (&(struct sock_fprog){sizeof(bytes) / sizeof(struct sock_filter), (struct sock_filter*)bytes})
#define PIECES(...) ((struct iovec[]){__VA_ARGS__})
#define ROOM(...) ((int[]){__VA_ARGS__})
struct watched {
  int slot;
  unsigned events;
};
#define WATCHED(...) ((struct watched[]){__VA_ARGS__})
#define EVENT(wanted, slot) (&(struct epoll_event){.events = (unsigned)(wanted), .data.u64 = (slot)})
#define AT4(text, port) at(AF_INET, text, port, 0)
#define AT6(text, port, scope) at(AF_INET6, text, port, scope)

static int number_of(int slot) { return fd[slot] >= 0 ? fd[slot] : 50 + slot; }

static int port_of(int socket) {
  struct sockaddr_in6 own = {0};
  socklen_t size = sizeof own;
  getsockname(socket, (struct sockaddr*)&own, &size);
  return ntohs(own.sin6_port);
}

static struct sockaddr* at(int family, const char* text, int port, unsigned scope) {
  struct sockaddr_in6* v6 = calloc(1, sizeof(struct sockaddr_storage));
  struct sockaddr_in* v4 = (struct sockaddr_in*)v6;
  v6->sin6_family = (sa_family_t)family;
  v6->sin6_port = htons((uint16_t)port);
  if (family == AF_INET6) v6->sin6_scope_id = scope;
  inet_pton(family, text, family == AF_INET ? (void*)&v4->sin_addr : (void*)&v6->sin6_addr);
  return (struct sockaddr*)v6;
}

static void show_bytes(const char* name, const void* data, long size) {
  printf("  %s %ld:", name, size);
  for (long i = 0; i < size && i < 64; ++i) printf(" %02x", ((const unsigned char*)data)[i]);
  putchar('\n');
}

static struct msghdr message(const void* to, int length, const struct iovec* pieces, int count, void* control,
                             int size) {
  return (struct msghdr){(void*)to, (socklen_t)length, (struct iovec*)pieces, (size_t)count, control, (size_t)size, 0};
}
#define MESSAGE(...) \
  { message(__VA_ARGS__), 0xeeee }

static struct msghdr room_for(int name, int control, const int* sizes, int count) {
  static int next;
  unsigned char* at = room[next++ % 200];
  struct iovec* pieces = calloc((size_t)count + 1, sizeof *pieces);
  for (int i = 0; i < count; at += abs(sizes[i++])) {
    pieces[i] = (struct iovec){sizes[i] < 0 ? NULL : at, (size_t)abs(sizes[i])};
  }
  return (struct msghdr){name == -1 ? NULL : calloc(1, 256),
                         (socklen_t)name,
                         pieces,
                         (size_t)count,
                         control < 0 ? NULL : calloc(1, 1024),
                         control < 0 ? 0 : (size_t)control,
                         0};
}
#define ROOM_FOR(...) \
  { room_for(__VA_ARGS__), 0xeeee }

static void show_message(const struct msghdr* m, long size) {
  if (m->msg_iovlen != 0) show_bytes("data", m->msg_iov[0].iov_base, size);
  if (m->msg_name != NULL) show_bytes("address", m->msg_name, m->msg_namelen < 32 ? m->msg_namelen : 32);
  show_bytes("control", m->msg_control, (long)m->msg_controllen);
  printf("  flags %#x\n", (unsigned)m->msg_flags);
}

/* What would wait for ever is left out. */
static inline int would_wait(int socket, int flags) {
  const int mode = fcntl(socket, F_GETFL);
  struct pollfd one = {socket, POLLIN, 0};
  if ((flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) || mode < 0 || (mode & O_NONBLOCK)) return 0;
  return poll(&one, 1, 0) == 0 || !(one.revents & (POLLIN | POLLNVAL));
}

#define SHOW_RECEIVED(socket, flags, call, m)                      \
  do {                                                             \
    const long got_ = would_wait(socket, flags) ? -1 : SHOW(call); \
    if (got_ >= 0) show_message(m, got_);                          \
  } while (0)

#define show_recv(socket, name, control, sizes, count, flags)                                              \
  do {                                                                                                     \
    struct msghdr m_ = room_for(name, control, sizes, count);                                              \
    SHOW_RECEIVED(socket, flags, recv(socket, m_.msg_iov[0].iov_base, m_.msg_iov[0].iov_len, flags), &m_); \
  } while (0)
#define show_recvfrom(socket, name, control, sizes, count, flags)                                                   \
  do {                                                                                                              \
    struct msghdr m_ = room_for(name, control, sizes, count);                                                       \
    SHOW_RECEIVED(                                                                                                  \
        socket, flags,                                                                                              \
        recvfrom(socket, m_.msg_iov[0].iov_base, m_.msg_iov[0].iov_len, flags, m_.msg_name, &m_.msg_namelen), &m_); \
  } while (0)
#define show_recvmsg(socket, name, control, sizes, count, flags)    \
  do {                                                              \
    struct msghdr m_ = room_for(name, control, sizes, count);       \
    SHOW_RECEIVED(socket, flags, recvmsg(socket, &m_, flags), &m_); \
  } while (0)
#define show_read(socket, name, control, sizes, count)                                          \
  do {                                                                                          \
    struct msghdr m_ = room_for(name, control, sizes, count);                                   \
    SHOW_RECEIVED(socket, 0, read(socket, m_.msg_iov[0].iov_base, m_.msg_iov[0].iov_len), &m_); \
  } while (0)
#define show_readv(socket, name, control, sizes, count)              \
  do {                                                               \
    struct msghdr m_ = room_for(name, control, sizes, count);        \
    SHOW_RECEIVED(socket, 0, readv(socket, m_.msg_iov, count), &m_); \
  } while (0)

static inline void show_sendmsg(int socket, const void* to, int length, const struct iovec* pieces, int count,
                                void* control, int size, int flags) {
  const struct msghdr m = message(to, length, pieces, count, control, size);
  SHOW(sendmsg(socket, &m, flags));
}
static inline void show_sendmmsg(int socket, struct mmsghdr* list, unsigned count, int flags) {
  const int sent = SHOW(sendmmsg(socket, list, count, flags));
  for (int i = 0; i < sent; ++i) printf("  %u bytes\n", list[i].msg_len);
}
static inline void show_recvmmsg(int socket, struct mmsghdr* list, unsigned count, int flags, long timeout) {
  struct timespec limit = {timeout / 1000000000, timeout == -2 ? -1 : 0};
  const int got = count != 0 && would_wait(socket, flags)
                      ? -1
                      : SHOW(recvmmsg(socket, list, count, flags, timeout == -1 ? NULL : &limit));
  for (int i = 0; i < got; ++i) show_message(&list[i].msg_hdr, list[i].msg_len);
}

#define SHOW_NAME(function, socket, room_for_name, has_length)                         \
  do {                                                                                 \
    struct sockaddr_storage name_ = {0};                                               \
    socklen_t size_ = (socklen_t)(room_for_name);                                      \
    if (SHOW(function(socket, (room_for_name) == -1 ? NULL : (struct sockaddr*)&name_, \
                      (has_length) ? &size_ : NULL)) == 0)                             \
      show_bytes("address", &name_, size_ < 32 ? size_ : 32);                          \
  } while (0)
#define show_getsockname(socket, size, has_length) SHOW_NAME(getsockname, socket, size, has_length)
#define show_getpeername(socket, size, has_length) SHOW_NAME(getpeername, socket, size, has_length)

static inline void show_ioctl(int socket, unsigned long request, int value, int is_given) {
  if (SHOW(ioctl(socket, request, is_given ? &value : NULL)) == 0) printf("  value %d\n", value);
}
static inline void show_getsockopt(int socket, int level, int name, int size, int is_given) {
  unsigned char value[512];
  socklen_t length = (socklen_t)size;
  printf("%d %d: ", level, name);
  if (SHOW(getsockopt(socket, level, name, is_given ? value : NULL, &length)) == 0) show_bytes("value", value, length);
}

static inline void show_poll(const struct watched* wanted, int count) {
  struct pollfd list[10];
  nfds_t n = 0;
  for (int i = 0; i < count; ++i) {
    if (fd[wanted[i].slot] >= 0) list[n++] = (struct pollfd){fd[wanted[i].slot], (short)wanted[i].events, 0};
  }
  SHOW(poll(list, n, 0));
  for (nfds_t i = 0; i < n; ++i) printf("  %d: %#x\n", list[i].fd, (unsigned short)list[i].revents);
}
#define show_ppoll show_poll

static inline void show_select(const struct watched* wanted, int count, int which) {
  fd_set sets[3];
  int most = 0;
  for (int i = 0; i < 3; ++i) FD_ZERO(&sets[i]);
  for (int i = 0; i < count; ++i) {
    const int number = fd[wanted[i].slot];
    if (number < 0) continue;
    if (number >= most) most = number + 1;
    for (int s = 0; s < 3; ++s) {
      if (s == 2 || (wanted[i].events >> (2 * s) & 1)) FD_SET(number, &sets[s]);
    }
  }
  struct timeval none = {0, 0};
  SHOW(select(most, which & 1 ? &sets[0] : NULL, which & 2 ? &sets[1] : NULL, which & 4 ? &sets[2] : NULL, &none));
  for (int s = 0; s < 3; ++s) {
    for (int i = 0; (which >> s & 1) && i < most; ++i) {
      if (FD_ISSET(i, &sets[s])) printf("  set %d has %d\n", s, i);
    }
  }
}
#define show_pselect show_select

static inline void show_epoll_wait(int set, int most) {
  struct epoll_event events[16];
  const int found = SHOW(epoll_wait(set, events, most, 0));
  for (int i = 0; i < found; ++i) printf("  slot %d: %#x\n", (int)events[i].data.u64, events[i].events);
}
#define show_epoll_pwait show_epoll_wait
#define show_epoll_pwait2 show_epoll_wait

static inline void show_drain(void) {
  for (int i = 0; i < 8; ++i) {
    for (ssize_t got; fd[i] >= 0 && (got = recv(fd[i], room[0], sizeof room[0], MSG_DONTWAIT)) >= 0;) {
      show_bytes("left", room[0], got);
    }
  }
}

#endif
