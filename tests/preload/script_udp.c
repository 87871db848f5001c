/* What UDP's own options do: many datagrams in one call, and one datagram of many calls. */
#include "script.h"

static char room[70000];
static int family;

static socklen_t loopback(struct sockaddr_storage* out, int port) {
  memset(out, 0, sizeof *out);
  if (family == AF_INET) {
    struct sockaddr_in where = at("127.0.0.1", port);
    memcpy(out, &where, sizeof where);
    return sizeof where;
  }
  struct sockaddr_in6 where = {
      .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = in6addr_loopback};
  memcpy(out, &where, sizeof where);
  return sizeof where;
}

static int bound_here(int port) {
  struct sockaddr_storage where;
  const socklen_t size = loopback(&where, port);
  const int fd = socket(family, SOCK_DGRAM, 0);
  if (bind(fd, (struct sockaddr*)&where, size) != 0) abort();
  return fd;
}

static int set(int fd, int level, int name, int value) { return setsockopt(fd, level, name, &value, sizeof value); }
static int get(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

/* A control message of `length` bytes on a send to a port (0: to the connected peer). */
static ssize_t send_with(int fd, int port, size_t size, int type, const void* value, size_t length, int flags) {
  struct sockaddr_storage to;
  union {
    char bytes[64];
    struct cmsghdr align;
  } control = {0};
  struct iovec data = {room, size};
  struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1};
  if (port != 0) {
    m.msg_name = &to;
    m.msg_namelen = loopback(&to, port);
  }
  if (value != NULL) {
    m.msg_control = &control;
    m.msg_controllen = CMSG_SPACE(length);
    struct cmsghdr* c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(length), .cmsg_level = SOL_UDP, .cmsg_type = type};
    memcpy(CMSG_DATA(c), value, length);
  }
  return sendmsg(fd, &m, flags);
}
static ssize_t send_segments(int fd, int port, size_t size, int segment) {
  const uint16_t value = (uint16_t)segment;
  return send_with(fd, port, size, UDP_SEGMENT, &value, sizeof value, 0);
}

/* Everything that waits: sizes, flags, and what comes with it but for numbers of interfaces. */
static void show_received(int fd, size_t size, int flags) {
  for (int n = 0; n < 200; ++n) {
    struct iovec place = {room, size};
    char control[512];
    struct msghdr m = {.msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    const ssize_t got = recvmsg(fd, &m, MSG_DONTWAIT | flags);
    if (got < 0) break;
    printf("  received %zd flags %x", got, m.msg_flags);
    for (struct cmsghdr* c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
      printf(", %d %d len %zu value %d", c->cmsg_level, c->cmsg_type, c->cmsg_len, *(int*)CMSG_DATA(c));
    }
    printf("\n");
    if (flags & MSG_PEEK) break;
  }
}

static void options(void) {
  const int s = socket(family, SOCK_DGRAM, 0);
  const int values[] = {-1, 0, 1, 2, 65535, 65536}, names[] = {UDP_SEGMENT, UDP_GRO};
  for (int i = 0; i < 2; ++i) {
    for (int v = 0; v < 6; ++v) {
      SHOW(set(s, IPPROTO_UDP, names[i], values[v]));
      SHOW(get(s, IPPROTO_UDP, names[i]));
    }
    SHOW(setsockopt(s, IPPROTO_UDP, names[i], room, 3));
    SHOW(setsockopt(s, IPPROTO_UDP, names[i], NULL, 4));
    socklen_t size = 2;
    SHOW(getsockopt(s, IPPROTO_UDP, names[i], room, &size));
    printf("  size %u\n", size);
  }
  SHOW(get(s, SOL_SOCKET, SO_DOMAIN));
}

static void segments(int port) {
  const int a = bound_here(port), b = bound_here(port + 1);
  const int tries[][2] = {{1000, 300}, {900, 300},     {300, 300},     {200, 300},     {0, 300},      {1000, 0},
                          {128, 1},    {129, 1},       {65507, 512},   {65507, 511},   {65508, 1000}, {65535, 1000},
                          {70000, 10}, {65507, 65507}, {65507, 65488}, {65507, 65489}, {65507, 1000}};
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < sizeof tries / sizeof *tries; ++i) {
      printf("%d bytes by %d\n", tries[i][0], tries[i][1]);
      if (round == 0) SHOW(send_segments(b, port, (size_t)tries[i][0], tries[i][1]));
      if (round == 1) set(b, IPPROTO_UDP, UDP_SEGMENT, tries[i][1]);
      if (round == 1) SHOW(send_with(b, port, (size_t)tries[i][0], 0, NULL, 0, 0));
      show_received(a, sizeof room, 0);
    }
  }
  /* The message's own size goes before the socket's. */
  SHOW(send_segments(b, port, 1000, 400));
  show_received(a, sizeof room, 0);
  SHOW(send_segments(b, port, 1000, 0));
  show_received(a, sizeof room, 0);
  for (size_t length = 0; length < 5; ++length) {
    SHOW(send_with(b, port, 10, UDP_SEGMENT, "\5\0\0\0\0", length, 0));
    show_received(a, sizeof room, 0);
  }
  SHOW(send_with(b, port, 10, UDP_GRO, "\5\0\0\0", 4, 0));
  SHOW(send_with(b, 0, 10, UDP_SEGMENT, "\5\0\0\0", 4, 0));
  SHOW(send_segments(b, 0, 10, 5));
  SHOW(shutdown(b, SHUT_RDWR));
  SHOW(send_segments(b, port, 1000, 1));
}

static void joined(int port) {
  const int a = bound_here(port), b = bound_here(port + 1);
  struct sockaddr_storage to;
  const socklen_t size = loopback(&to, port);
  SHOW(send_segments(b, port, 1000, 300));
  SHOW(set(a, IPPROTO_UDP, UDP_GRO, 1));
  show_received(a, sizeof room, 0);
  const int tries[][2] = {{1000, 300}, {900, 300}, {300, 300}, {128, 1}, {65507, 512}, {65485, 512}, {65486, 512}};
  for (size_t i = 0; i < sizeof tries / sizeof *tries; ++i) {
    printf("%d bytes by %d\n", tries[i][0], tries[i][1]);
    SHOW(send_segments(b, port, (size_t)tries[i][0], tries[i][1]));
    SHOW(send_segments(b, port, 10, 5));
    int there = 0;
    SHOW(ioctl(a, FIONREAD, &there));
    printf("  readable %d\n", there);
    show_received(a, sizeof room, MSG_PEEK);
    show_received(a, sizeof room, 0);
  }
  if (family == AF_INET) set(a, IPPROTO_IP, IP_RECVTTL, 1);
  if (family == AF_INET6) set(a, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
  for (int i = 0; i < 3; ++i) SHOW(sendto(b, room, 300, 0, (struct sockaddr*)&to, size));
  SHOW(send_segments(b, port, 1000, 300));
  SHOW(send_segments(b, port, 900, 300));
  show_received(a, sizeof room, 0);
  SHOW(send_segments(b, port, 1000, 300));
  show_received(a, 500, 0);
  SHOW(send_segments(b, port, 1000, 300));
  show_received(a, 500, MSG_TRUNC);
  SHOW(send_segments(b, port, 1000, 300));
  SHOW(set(a, IPPROTO_UDP, UDP_GRO, 0));
  show_received(a, sizeof room, 0);
  /* What is told as one is kept, or lost, as one. */
  SHOW(set(a, IPPROTO_UDP, UDP_GRO, 1));
  SHOW(set(a, SOL_SOCKET, SO_RCVBUF, 0));
  for (int i = 0; i < 4; ++i) SHOW(send_segments(b, port, 4000, 100));
  show_received(a, sizeof room, 0);
  show_received(a, sizeof room, 0);
}

static ssize_t to_port(int fd, int port, const char* data, size_t size, int flags) {
  struct sockaddr_storage to;
  const socklen_t length = loopback(&to, port);
  return sendto(fd, data, size, flags, (struct sockaddr*)&to, length);
}
static int connect_to(int fd, int port) {
  struct sockaddr_storage to;
  const socklen_t length = loopback(&to, port);
  return connect(fd, (struct sockaddr*)&to, length);
}

/* What waits at either of two sockets. */
static void show_both(int a, int b) {
  for (int i = 0; i < 2; ++i) {
    for (ssize_t got; (got = recv(i == 0 ? a : b, room, sizeof room, MSG_DONTWAIT)) >= 0;) {
      printf("  %s got %zd", i == 0 ? "first" : "second", got);
      show_data(room, got < 20 ? got : 20);
    }
  }
}

static void pieces(int port) {
  const int a = bound_here(port), b = bound_here(port + 1), more = MSG_MORE;
  int s = socket(family, SOCK_DGRAM, 0);
  SHOW(to_port(s, port, "ab", 2, more));
  show_both(a, b);
  SHOW(to_port(s, port + 1, "cd", 2, more));
  SHOW(to_port(s, 0, "ef", 2, more));
  SHOW(send(s, "gh", 2, more));
  SHOW(to_port(s, port, "", 0, 0));
  show_both(a, b);
  SHOW(send(s, "nobody", 6, more));
  SHOW(to_port(s, 0, "x", 1, more));
  SHOW(to_port(s, port, "", 0, more));
  SHOW(to_port(s, port + 1, "after nothing", 13, 0));
  show_both(a, b);
  SHOW(set(s, IPPROTO_UDP, UDP_CORK, 7));
  SHOW(get(s, IPPROTO_UDP, UDP_CORK));
  SHOW(to_port(s, port, "one", 3, 0));
  SHOW(to_port(s, port + 1, "two", 3, 0));
  SHOW(get(s, IPPROTO_UDP, UDP_CORK));
  show_both(a, b);
  SHOW(set(s, IPPROTO_UDP, UDP_CORK, 0));
  SHOW(get(s, IPPROTO_UDP, UDP_CORK));
  show_both(a, b);
  SHOW(to_port(s, port, "more", 4, more));
  SHOW(set(s, IPPROTO_UDP, UDP_CORK, 1));
  SHOW(to_port(s, port, "corked", 6, 0));
  show_both(a, b);
  SHOW(set(s, IPPROTO_UDP, UDP_CORK, 0));
  show_both(a, b);
  SHOW(set(s, IPPROTO_UDP, UDP_CORK, 0));
  struct iovec parts[2] = {{"x", 1}, {"yz", 2}};
  struct mmsghdr many[2] = {{{.msg_iov = parts, .msg_iovlen = 1}, 0}, {{.msg_iov = parts, .msg_iovlen = 2}, 0}};
  SHOW(connect_to(s, port));
  SHOW(sendmmsg(s, many, 2, more));
  show_both(a, b);
  SHOW(write(s, "!", 1));
  show_both(a, b);
  SHOW(send(s, "untranslatable", 14, more));
  SHOW(send_with(s, port, 1, 99, "", 0, more));
  SHOW(send(s, "", 0, 0));
  show_both(a, b);

  static const size_t sizes[] = {65507, 65508, 65527, 65528};
  s = socket(family, SOCK_DGRAM, 0);
  for (int i = 0; i < 4; ++i) {
    printf("%zu bytes\n", sizes[i]);
    SHOW(to_port(s, port, room, sizes[i] - 10, more));
    SHOW(to_port(s, port, room, 10, more));
    SHOW(to_port(s, port + 1, "", 0, 0));
    show_both(a, b);
  }
  SHOW(to_port(s, port, room, 10, more));
  SHOW(to_port(s, port, room, 65536, more));
  SHOW(to_port(s, port, room, 70000, 0));
  SHOW(to_port(s, port + 1, "", 0, 0));
  show_both(a, b);
  SHOW(send_with(s, port, 100, UDP_SEGMENT, &(uint16_t){30}, 2, more));
  SHOW(send_with(s, port + 1, 50, UDP_SEGMENT, &(uint16_t){7}, 2, 0));
  show_both(a, b);
  SHOW(send_with(s, port, 100, UDP_SEGMENT, &(uint16_t){1}, 2, more));
  SHOW(to_port(s, port, room, 50, 0));
  show_both(a, b);
  SHOW(set(s, IPPROTO_UDP, UDP_SEGMENT, 10));
  SHOW(to_port(s, port, room, 25, more));
  SHOW(set(s, IPPROTO_UDP, UDP_SEGMENT, 0));
  SHOW(to_port(s, port, room, 25, 0));
  show_both(a, b);
}

static void pieces_and_calls(int port) {
  const int a = bound_here(port), b = bound_here(port + 1), more = MSG_MORE;
  const int names[][2] = {{IPPROTO_IP, IP_TTL}, {IPPROTO_IPV6, IPV6_UNICAST_HOPS}};
  const int tos[][2] = {{IPPROTO_IP, IP_TOS}, {IPPROTO_IPV6, IPV6_TCLASS}};
  const int told[][4] = {{IPPROTO_IP, IP_RECVTTL, IPPROTO_IP, IP_RECVTOS},
                         {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, IPPROTO_IPV6, IPV6_RECVTCLASS}};
  const int v6 = family == AF_INET6;
  int s = socket(family, SOCK_DGRAM, 0);
  set(a, told[v6][0], told[v6][1], 1);
  SHOW(set(s, names[v6][0], names[v6][1], 7));
  SHOW(to_port(s, port, "a", 1, more));
  SHOW(set(s, names[v6][0], names[v6][1], 9));
  SHOW(to_port(s, port, "b", 1, 0));
  show_received(a, sizeof room, 0);
  set(a, told[v6][0], told[v6][1], 0);
  SHOW(to_port(s, port, "a", 1, more));
  SHOW(connect_to(s, port + 1));
  SHOW(send(s, "b", 1, 0));
  show_both(a, b);
  SHOW(send(s, "a", 1, more));
  SHOW(connect_to(s, port));
  SHOW(send(s, "b", 1, 0));
  show_both(a, b);
  SHOW(send(s, "a", 1, more));
  struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  SHOW(connect(s, &nobody, sizeof nobody));
  SHOW(send(s, "b", 1, 0));
  show_both(a, b);
  SHOW(send(s, "b", 1, 0));
  struct sockaddr_in nowhere4 = at("240.0.0.1", port);
  struct sockaddr_in6 nowhere6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  inet_pton(AF_INET6, "fd77::1", &nowhere6.sin6_addr);
  SHOW(to_port(s, port, "lost?", 5, more));
  SHOW(v6 ? connect(s, (struct sockaddr*)&nowhere6, sizeof nowhere6)
          : connect(s, (struct sockaddr*)&nowhere4, sizeof nowhere4));
  SHOW(send(s, "b", 1, 0));
  show_both(a, b);
  SHOW(connect_to(s, port));
  SHOW(send(s, "a", 1, more));
  SHOW(shutdown(s, SHUT_WR));
  SHOW(send(s, "b", 1, 0));
  show_both(a, b);
  SHOW(send(s, "c", 1, 0));
  SHOW(set(s, IPPROTO_UDP, UDP_CORK, 0));
  show_both(a, b);
  s = socket(family, SOCK_DGRAM, 0);
  SHOW(connect_to(s, port));
  SHOW(send(s, "a", 1, more));
  SHOW(shutdown(s, SHUT_WR));
  SHOW(set(s, IPPROTO_UDP, UDP_CORK, 0));
  show_both(a, b);
  s = socket(family, SOCK_DGRAM, 0);
  SHOW(to_port(s, port, "closed", 6, more));
  struct pollfd p = {s, POLLIN | POLLOUT, 0};
  SHOW(poll(&p, 1, 0));
  printf("  events %x\n", p.revents);
  SHOW(close(s));
  show_both(a, b);
  /* Nobody is there. */
  s = socket(family, SOCK_DGRAM, 0);
  SHOW(connect_to(s, port + 2));
  SHOW(send(s, "a", 1, 0));
  SHOW(send(s, "a", 1, more));
  SHOW(send(s, "a", 1, more));
  SHOW(send(s, "a", 1, 0));
  SHOW(get(s, SOL_SOCKET, SO_ERROR));
}

/* All that the error queue holds. */
static void show_completions(int fd, size_t room_for_control) {
  struct pollfd p = {fd, POLLIN | POLLOUT, 0};
  poll(&p, 1, 0);
  printf("  events %x\n", p.revents);
  for (int n = 0; n < 10; ++n) {
    char control[512];
    struct iovec place = {room, 100};
    struct sockaddr_storage from;
    struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &place, .msg_iovlen = 1};
    m.msg_control = control;
    m.msg_controllen = room_for_control;
    const ssize_t got = recvmsg(fd, &m, MSG_ERRQUEUE);
    printf("  got %zd %s name %u flags %x", got, got < 0 ? strerrorname_np(errno) : "", m.msg_namelen, m.msg_flags);
    const struct cmsghdr* c = got < 0 ? NULL : CMSG_FIRSTHDR(&m);
    if (c != NULL) printf(" control %d %d len %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
    if (c != NULL && c->cmsg_len >= CMSG_LEN(sizeof(struct sock_extended_err))) {
      const struct sock_extended_err* e = (const void*)CMSG_DATA(c);
      printf(" errno %u origin %u type %u code %u: %u to %u", e->ee_errno, e->ee_origin, e->ee_type, e->ee_code,
             e->ee_info, e->ee_data);
    }
    printf("\n");
    if (got < 0) break;
  }
}

static void zero_copy(int port) {
  const int a = bound_here(port), s = socket(family, SOCK_DGRAM, 0), zc = MSG_ZEROCOPY;
  SHOW(to_port(s, port, "abc", 3, zc));
  show_completions(s, 512);
  for (int value = -1; value < 3; ++value) {
    SHOW(set(s, SOL_SOCKET, SO_ZEROCOPY, value));
    SHOW(get(s, SOL_SOCKET, SO_ZEROCOPY));
  }
  SHOW(setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, "\1", 1));
  SHOW(to_port(s, port, "abc", 3, zc));
  SHOW(get(s, SOL_SOCKET, SO_ERROR));
  show_completions(s, 512);
  SHOW(to_port(s, port, "", 0, zc));
  SHOW(to_port(s, port, "abc", 3, zc));
  SHOW(to_port(s, port, "abc", 3, 0));
  SHOW(to_port(s, port, "abc", 3, zc));
  show_both(a, a);
  show_completions(s, 512);
  SHOW(to_port(s, port, "abc", 3, zc));
  show_completions(s, 20);
  SHOW(to_port(s, port, "abc", 3, zc));
  show_completions(s, 0);
  SHOW(to_port(s, 0, "abc", 3, zc));
  SHOW(to_port(s, port, room, 65536, zc));
  SHOW(send_with(s, port, 1000, UDP_SEGMENT, &(uint16_t){300}, 2, zc));
  SHOW(send_with(s, port, 1000, UDP_SEGMENT, &(uint16_t){1}, 2, zc));
  show_completions(s, 512);
  SHOW(to_port(s, port, "a", 1, zc | MSG_MORE));
  show_completions(s, 512);
  SHOW(to_port(s, port, "b", 1, zc | MSG_MORE));
  SHOW(to_port(s, port, "c", 1, 0));
  show_completions(s, 512);
  SHOW(to_port(s, port, "a", 1, MSG_MORE));
  SHOW(to_port(s, port, "b", 1, zc));
  show_completions(s, 512);
  SHOW(set(s, SOL_SOCKET, SO_ZEROCOPY, 0));
  SHOW(to_port(s, port, "abc", 3, zc));
  show_completions(s, 512);
  SHOW(set(s, SOL_SOCKET, SO_ZEROCOPY, 1));
  SHOW(connect_to(s, port));
  struct iovec part = {"mm", 2};
  struct mmsghdr many[3] = {{{.msg_iov = &part, .msg_iovlen = 1}, 0},
                            {{.msg_iov = &part, .msg_iovlen = 1}, 0},
                            {{.msg_iov = &part, .msg_iovlen = 1}, 0}};
  SHOW(sendmmsg(s, many, 3, zc));
  show_both(a, a);
  SHOW(recv(s, room, 1, MSG_DONTWAIT));
  show_completions(s, 512);
  SHOW(shutdown(s, SHUT_WR));
  SHOW(send(s, "x", 1, zc));
  show_completions(s, 512);
  /* An option by which the kernel gets the socket, amid all that. */
  const int k = socket(family, SOCK_DGRAM, 0);
  SHOW(set(k, SOL_SOCKET, SO_ZEROCOPY, 1));
  SHOW(to_port(k, port, "before", 6, zc));
  show_completions(k, 512);
  SHOW(to_port(k, port, "a piece ", 8, zc | MSG_MORE));
  SHOW(set(k, SOL_SOCKET, SO_MARK, 7));
  SHOW(to_port(k, port, "and another", 11, zc));
  SHOW(to_port(k, port, "after", 5, zc));
  show_both(a, a);
  show_completions(k, 512);
}

int main(void) {
  begin();
  family = AF_INET;
  options();
  segments(5100);
  joined(5110);
  pieces(5140);
  pieces_and_calls(5150);
  zero_copy(5155);
  family = AF_INET6;
  options();
  segments(5120);
  joined(5130);
  pieces(5160);
  pieces_and_calls(5170);
  zero_copy(5175);
  return 0;
}
