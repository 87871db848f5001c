/* What the socket level offers beyond buffers and stamps: losses told, peeking at a place, and options about the
 * device. */
#include "script.h"

#include <net/if.h>

static char room[3000];

static void set(int fd, int level, int name, int value) {
  printf("level %d option %d: ", level, name);
  SHOW(setsockopt(fd, level, name, &value, sizeof value));
}

static void get(int fd, int level, int name) {
  int value[2] = {-7, -7};
  socklen_t size = sizeof value;
  SHOW(getsockopt(fd, level, name, value, &size));
  printf("  level %d option %d: %d size %u\n", level, name, value[0], size);
}

static void receive(int fd, int flags, size_t data_size) {
  union {
    struct cmsghdr align;
    char bytes[512];
  } control;
  struct iovec piece = {room, data_size};
  struct msghdr m = {NULL, 0, &piece, 1, control.bytes, sizeof control, 0};
  errno = 0;
  const long size = recvmsg(fd, &m, flags | MSG_DONTWAIT);
  printf("received %ld errno %d flags %x", size, errno, m.msg_flags);
  if (size > 0) printf(" %.*s", (int)(size < (long)data_size ? size : (long)data_size), room);
  for (struct cmsghdr* c = size < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    printf(" %d/%d:", c->cmsg_level, c->cmsg_type);
    for (size_t i = 0; i < c->cmsg_len - CMSG_LEN(0); ++i) printf("%02x", CMSG_DATA(c)[i]);
  }
  putchar('\n');
}

static void losses(void) {
  const int a = bound(5401), b = connected(5402, 5401);
  set(a, SOL_SOCKET, SO_RCVBUF, 0);
  get(a, SOL_SOCKET, SO_RXQ_OVFL);
  for (int i = 0; i < 10; ++i) SHOW(send(b, "before", 6, 0));
  set(a, SOL_SOCKET, SO_RXQ_OVFL, 5);
  get(a, SOL_SOCKET, SO_RXQ_OVFL);
  for (int i = 0; i < 4; ++i) receive(a, 0, 10);
  SHOW(send(b, "after", 5, 0));
  receive(a, MSG_PEEK, 10);
  receive(a, 0, 10);
  for (int i = 0; i < 10; ++i) SHOW(send(b, "more", 4, 0));
  for (int i = 0; i < 4; ++i) receive(a, 0, 10);
  set(a, SOL_SOCKET, SO_RXQ_OVFL, 0);
  SHOW(send(b, "untold", 6, 0));
  set(a, SOL_SOCKET, SO_RXQ_OVFL, 1);
  receive(a, 0, 10);
  set(a, SOL_SOCKET, SO_RCVBUFFORCE, 100000);
  get(a, SOL_SOCKET, SO_RCVBUF);
  for (int i = 0; i < 10; ++i) SHOW(send(b, "all of them", 11, 0));
  for (int i = 0; i < 12; ++i) receive(a, 0, 20);
  set(a, SOL_SOCKET, SO_RCVBUFFORCE, -1);
  get(a, SOL_SOCKET, SO_RCVBUF);
  set(a, SOL_SOCKET, SO_SNDBUFFORCE, 1000000);
  get(a, SOL_SOCKET, SO_SNDBUF);
  close(a);
  close(b);
}

static void facts(void) {
  const int a = bound(5411), b = connected(5412, 5411);
  const int numbers[] = {75 /* SO_RCVMARK */, SO_TIMESTAMP, SO_TIMESTAMP};
  set(a, SOL_SOCKET, 75, 1);
  set(a, IPPROTO_IP, IP_RECVORIGDSTADDR, 1);
  set(a, IPPROTO_IP, IP_RECVTTL, 1);
  set(a, IPPROTO_IP, IP_PKTINFO, 1);
  set(a, IPPROTO_IP, IP_RECVOPTS, 1);
  set(a, IPPROTO_IP, IP_RETOPTS, 1);
  set(a, IPPROTO_IP, IP_RECVFRAGSIZE, 1);
  set(a, IPPROTO_IP, IP_MINTTL, 255);
  SHOW(send(b, "x", 1, 0));
  receive(a, 0, 10);
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(5413), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  const int c = socket(AF_INET6, SOCK_DGRAM, 0), d = socket(AF_INET6, SOCK_DGRAM, 0);
  SHOW(bind(c, (void*)&six, sizeof six));
  set(c, IPPROTO_IPV6, 74 /* IPV6_RECVORIGDSTADDR */, 1);
  set(c, IPPROTO_IP, IP_RECVORIGDSTADDR, 1);
  set(c, IPPROTO_IPV6, IPV6_RECVHOPOPTS, 1);
  set(c, IPPROTO_IPV6, IPV6_RECVDSTOPTS, 1);
  set(c, IPPROTO_IPV6, IPV6_RECVRTHDR, 1);
  set(c, IPPROTO_IPV6, 73 /* IPV6_MINHOPCOUNT */, 255);
  set(c, IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 1);
  SHOW(sendto(d, "x", 1, 0, (void*)&six, sizeof six));
  receive(c, 0, 10);
  const int e = socket(AF_INET6, SOCK_DGRAM, 0);
  six.sin6_addr = in6addr_any;
  six.sin6_port = htons(5414);
  SHOW(bind(e, (void*)&six, sizeof six));
  set(e, IPPROTO_IP, IP_RECVORIGDSTADDR, 1);
  set(e, IPPROTO_IPV6, 74, 1);
  SHOW(sendto(b, "mapped", 6, 0, LOCAL(5414)));
  receive(e, 0, 10);
  close(a), close(b), close(c), close(d), close(e);
}

static void peeks(void) {
  const int a = bound(5421), b = connected(5422, 5421);
  get(a, SOL_SOCKET, SO_PEEK_OFF);
  set(a, SOL_SOCKET, SO_PEEK_OFF, -5);
  get(a, SOL_SOCKET, SO_PEEK_OFF);
  set(a, SOL_SOCKET, SO_PEEK_OFF, 0);
  const char* const sent[] = {"aaaa", "", "bbbb", "cccc"};
  for (int i = 0; i < 4; ++i) SHOW(send(b, sent[i], strlen(sent[i]), 0));
  const size_t sizes[] = {2, 2, 5, 3, 4, 2, 1, 1};
  for (int i = 0; i < 8; ++i)
    receive(a, MSG_PEEK | (i == 4 ? MSG_TRUNC : 0), sizes[i]), get(a, SOL_SOCKET, SO_PEEK_OFF);
  for (int i = 0; i < 3; ++i) receive(a, i == 1 ? MSG_TRUNC : 0, 3), get(a, SOL_SOCKET, SO_PEEK_OFF);
  set(a, SOL_SOCKET, SO_PEEK_OFF, 2);
  receive(a, MSG_PEEK, 10), get(a, SOL_SOCKET, SO_PEEK_OFF);
  close(a), close(b);
}

// Of two datagrams, either of which may go by the kernel (MSG_EOR), looked at and read from a place.
static void peeks_on_both_ways(void) {
  for (int i = 0; i < 4; ++i) {
    const int a = bound((uint16_t)(5425 + i)), b = connected((uint16_t)(5435 + i), (uint16_t)(5425 + i));
    set(a, SOL_SOCKET, SO_PEEK_OFF, 0);
    SHOW(send(b, "abcde", 5, i & 1 ? MSG_EOR : 0));
    receive(a, MSG_PEEK, 2), get(a, SOL_SOCKET, SO_PEEK_OFF);
    SHOW(send(b, "fghij", 5, i & 2 ? MSG_EOR : 0));
    const size_t sizes[] = {2, 10, 2, 9};
    for (int j = 0; j < 4; ++j) receive(a, MSG_PEEK, sizes[j]), get(a, SOL_SOCKET, SO_PEEK_OFF);
    receive(a, 0, 3), get(a, SOL_SOCKET, SO_PEEK_OFF);
    receive(a, MSG_PEEK, 1), get(a, SOL_SOCKET, SO_PEEK_OFF);
    SHOW(send(b, "klm", 3, 0));
    for (int j = 0; j < 2; ++j) receive(a, 0, 9), receive(a, MSG_PEEK, 9), get(a, SOL_SOCKET, SO_PEEK_OFF);
    close(a), close(b);
  }
}

static void reports(void) {
  const int b = connected(5431, 5432);
  set(b, IPPROTO_IP, IP_RECVERR, 1);
  set(b, SOL_SOCKET, SO_TIMESTAMPING, 2 | 16);
  for (int on = 0; on < 2; ++on) {
    set(b, SOL_SOCKET, SO_SELECT_ERR_QUEUE, on);
    const int a = bound(5432);
    SHOW(send(b, "x", 1, 0));
    for (int i = 0; i < 3; ++i) {
      struct pollfd p = {b, (short)(i == 0 ? 0 : i == 1 ? POLLPRI : POLLIN), 0};
      SHOW(poll(&p, 1, 0));
      printf("  events %x\n", p.revents);
    }
    fd_set in, extra;
    FD_ZERO(&in);
    FD_ZERO(&extra);
    FD_SET(b, &in);
    FD_SET(b, &extra);
    SHOW(select(b + 1, &in, NULL, &extra, (struct timeval[]){{0, 0}}));
    printf("  %d %d\n", FD_ISSET(b, &in) != 0, FD_ISSET(b, &extra) != 0);
    const int set_of = epoll_create1(0);
    struct epoll_event wanted = {EPOLLPRI, {.fd = 7}}, seen = {0};
    SHOW(epoll_ctl(set_of, EPOLL_CTL_ADD, b, &wanted));
    SHOW(epoll_wait(set_of, &seen, 1, 0));
    printf("  events %x\n", seen.events);
    close(set_of);
    struct iovec piece = {room, sizeof room};
    struct msghdr m = {NULL, 0, &piece, 1, NULL, 0, 0};
    SHOW(recvmsg(b, &m, MSG_ERRQUEUE | MSG_DONTWAIT));
    close(a);
  }
  close(b);
}

static void devices(void) {
  const int lo = (int)if_nametoindex("lo");
  const int a = bound(5441), b = connected(5442, 5441);
  SHOW(setsockopt(a, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
  get(a, SOL_SOCKET, 62);
  SHOW(send(b, "to one bound to the device", 26, 0));
  receive(a, 0, 50);
  set(b, SOL_SOCKET, 62 /* SO_BINDTOIFINDEX */, lo);
  SHOW(send(b, "from one too", 12, 0));
  receive(a, 0, 50);
  const int elsewhere = udp(0);
  set(elsewhere, SOL_SOCKET, 62, 99);
  close(elsewhere);
  SHOW(setsockopt(b, SOL_SOCKET, SO_BINDTODEVICE, "none such", 10));
  set(b, SOL_SOCKET, 62, 0);
  set(b, IPPROTO_IP, IP_UNICAST_IF, (int)htonl((unsigned)lo));
  SHOW(send(b, "by a device", 11, 0));
  receive(a, 0, 50);
  const int none_needed[] = {SO_DEBUG, SO_KEEPALIVE, SO_OOBINLINE, SO_NO_CHECK, SO_SELECT_ERR_QUEUE, SO_NOFCS};
  for (int i = 0; i < 6; ++i) set(b, SOL_SOCKET, none_needed[i], 1), get(b, SOL_SOCKET, none_needed[i]);
  SHOW(send(b, "without a checksum", 18, 0));
  receive(a, 0, 50);
  set(b, SOL_SOCKET, SO_MAX_PACING_RATE, -1);
  set(b, IPPROTO_IP, IP_TRANSPARENT, 1);
  set(b, IPPROTO_IP, IP_FREEBIND, 1);
  SHOW(send(b, "y", 1, 0));
  receive(a, 0, 50);
  close(a), close(b);
}

int main(void) {
  begin();
  losses();
  facts();
  peeks();
  peeks_on_both_ways();
  reports();
  devices();
  return 0;
}
