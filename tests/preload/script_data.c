/* Sending and receiving in every form that libc has. */
#include "script.h"

ssize_t __recv_chk(int, void*, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void*, size_t, size_t, int, struct sockaddr*, socklen_t*);
ssize_t __read_chk(int, void*, size_t, size_t);
int __sendmmsg(int, struct mmsghdr*, unsigned, int);

static char room[70000];

static void plain(void) {
  const int a = bound(5001), b = connected(5002, 5001);
  struct sockaddr_in from;
  socklen_t size = sizeof from;
  SHOW(send(b, "one", 3, 0));
  SHOW(recvfrom(a, room, sizeof room, 0, (struct sockaddr*)&from, &size));
  show_data(room, 3);
  show_address(&from, size);
  SHOW(sendto(a, "two", 3, 0, LOCAL(5002)));
  SHOW(recv(b, room, 2, 0));
  SHOW(sendto(a, "three", 5, 0, LOCAL(5002)));
  SHOW(recv(b, room, 2, MSG_TRUNC));
  SHOW(write(b, "four", 4));
  SHOW(recv(a, room, sizeof room, MSG_PEEK));
  SHOW(recv(a, room, 1, MSG_PEEK | MSG_TRUNC));
  SHOW(read(a, room, 0));
  SHOW(read(a, room, sizeof room));
  SHOW(sendto(a, "", 0, 0, LOCAL(5002)));
  SHOW(read(b, room, sizeof room));
  SHOW(write(b, "", 0));
  SHOW(recv(a, NULL, 0, 0));
  SHOW(recv(a, room, 10, MSG_DONTWAIT));
  SHOW(send(b, "chk", 3, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_CONFIRM));
  SHOW(__recv_chk(a, room, 10, sizeof room, MSG_WAITALL));
  SHOW(send(b, "chk2", 4, 0));
  SHOW(__read_chk(a, room, 10, sizeof room));
  SHOW(send(b, "chk3", 4, 0));
  size = 5;
  SHOW(__recvfrom_chk(a, room, 10, sizeof room, 0, (struct sockaddr*)&from, &size));
  printf("  length %u\n", size);
  SHOW(send(b, "none", 4, 0));
  SHOW(recvfrom(a, room, 10, 0, NULL, NULL));
}

static void refusals(void) {
  const int a = bound(5003), b = udp(0);
  struct sockaddr_in from;
  socklen_t size = (socklen_t)-1;
  SHOW(send(b, "x", 1, 0));
  SHOW(write(b, "x", 1));
  SHOW(sendto(b, "x", 1, 0, LOCAL(0)));
  SHOW(sendto(b, "x", 1, 0, (struct sockaddr*)&from, 3));
  SHOW(sendto(b, "x", 1, 0, (struct sockaddr*)&from, 4000));
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
  SHOW(sendto(b, "x", 1, 0, (struct sockaddr*)&six, sizeof six));
  struct sockaddr_in unspecified = at("127.0.0.1", 5003);
  unspecified.sin_family = AF_UNSPEC;
  SHOW(sendto(b, "unspecified", 11, 0, (struct sockaddr*)&unspecified, sizeof unspecified));
  SHOW(recv(a, room, sizeof room, 0));
  SHOW(sendto(b, room, 65507, 0, LOCAL(5003)));
  SHOW(recv(a, room, sizeof room, 0));
  SHOW(sendto(b, room, 65508, 0, LOCAL(5003)));
  SHOW(sendto(b, room, 70000, 0, LOCAL(5003)));
  SHOW(sendto(b, NULL, 4, 0, LOCAL(5003)));
  SHOW(sendto(b, "x", 1, MSG_OOB, LOCAL(5003)));
  SHOW(recv(a, room, 1, MSG_OOB | MSG_DONTWAIT));
  SHOW(sendto(b, "e", 1, 0, LOCAL(5003)));
  SHOW(recvfrom(a, room, 10, 0, (struct sockaddr*)&from, &size));
  SHOW(sendto(b, "x", 1, MSG_DONTROUTE, LOCAL(5003)));
  SHOW(recv(a, room, 10, 0));
  SHOW(sendto(b, "more", 4, MSG_MORE, LOCAL(5003)));
  SHOW(sendto(b, "over", 4, 0, LOCAL(5003)));
  SHOW(recv(a, room, 10, 0));
  SHOW(recv(a, NULL, 5, MSG_DONTWAIT));
  SHOW(recvmsg(a, NULL, MSG_DONTWAIT));
  SHOW(sendmsg(b, NULL, 0));
}

static void messages(void) {
  const int a = bound(5004), b = udp(0);
  struct sockaddr_in to = at("127.0.0.1", 5004), from;
  struct iovec parts[] = {{"ab", 2}, {"", 0}, {"cde", 3}};
  struct msghdr out = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = parts, .msg_iovlen = 3};
  SHOW(sendmsg(b, &out, 0));
  char one[3] = "", two[10] = "";
  struct iovec rooms[] = {{one, 2}, {two, sizeof two}};
  struct msghdr in = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = rooms, .msg_iovlen = 2};
  SHOW(recvmsg(a, &in, 0));
  printf("  %s|%s namelen %u controllen %zu flags %x\n", one, two, in.msg_namelen, in.msg_controllen, in.msg_flags);
  SHOW(sendmsg(b, &out, 0));
  in.msg_iovlen = 1;
  in.msg_name = NULL;
  SHOW(recvmsg(a, &in, MSG_CMSG_CLOEXEC));
  printf("  flags %x\n", in.msg_flags);
  out.msg_iovlen = 0;
  SHOW(sendmsg(b, &out, 0));
  SHOW(recvmsg(a, &in, 0));
  out.msg_iovlen = 5000;
  SHOW(sendmsg(b, &out, 0));
  out.msg_iovlen = 1;
  out.msg_namelen = (socklen_t)-1;
  SHOW(sendmsg(b, &out, 0));
  in.msg_iovlen = 2000;
  SHOW(recvmsg(a, &in, MSG_DONTWAIT));
  SHOW(connect(b, (struct sockaddr*)&to, sizeof to));
  SHOW(writev(b, parts, 3));
  SHOW(readv(a, rooms, 2));
  const volatile int negative = -1;
  SHOW(writev(b, parts, negative));
  SHOW(pwritev2(b, parts, 3, -1, 0));
  SHOW(preadv2(a, rooms, 2, -1, 0));
  SHOW(preadv2(a, rooms, 2, -1, RWF_NOWAIT));
  SHOW(pwritev2(b, parts, 3, 0, 0));
  SHOW(pread(a, one, 1, 0));
}

static void bursts(void) {
  const int a = bound(5005), b = connected(5006, 5005);
  struct iovec data[3] = {{"a", 1}, {"bb", 2}, {"", 0}}, split[] = {{"c", 1}, {"d", 1}};
  struct mmsghdr out[4] = {{{.msg_iov = data, .msg_iovlen = 1}, 0},
                           {{.msg_iov = data + 1, .msg_iovlen = 1}, 0},
                           {{.msg_iov = data + 2, .msg_iovlen = 1}, 0},
                           {{.msg_iov = split, .msg_iovlen = 2}, 0}};
  SHOW(sendmmsg(b, out, 4, 0));
  printf("  lengths %u %u %u %u\n", out[0].msg_len, out[1].msg_len, out[2].msg_len, out[3].msg_len);
  char rooms[5][8];
  struct sockaddr_in from[5];
  struct iovec places[5];
  struct mmsghdr in[5] = {0};
  for (int i = 0; i < 5; ++i) {
    places[i] = (struct iovec){rooms[i], sizeof rooms[i]};
    in[i].msg_hdr =
        (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &places[i], .msg_iovlen = 1};
  }
  SHOW(recvmmsg(a, in, 5, MSG_WAITFORONE, NULL));
  for (int i = 0; i < 4; ++i) show_data(rooms[i], in[i].msg_len);
  show_address(&from[3], in[3].msg_hdr.msg_namelen);
  SHOW(recvmmsg(a, in, 5, MSG_DONTWAIT, NULL));
  SHOW(__sendmmsg(b, out, 2, 0));
  struct timespec none = {0, 0}, bad = {0, -1}, some = {5, 0};
  SHOW(recvmmsg(a, in, 5, 0, &none));
  SHOW(recvmmsg(a, in, 5, 0, &bad));
  SHOW(recvmmsg(a, in, 1, 0, &some));
  printf("  time left %d\n", some.tv_sec == 4);
  SHOW(sendmmsg(b, out, 0, 0));
  SHOW(recvmmsg(a, in, 0, 0, NULL));
  SHOW(sendmmsg(b, NULL, 2, 0));
  out[1].msg_hdr.msg_iovlen = 2000;
  SHOW(sendmmsg(b, out, 4, 0));
  SHOW(sendmmsg(b, out + 1, 2, 0));
  SHOW(recvmmsg(a, in, 5, MSG_WAITFORONE, NULL));
}

static void many(void) {
  const int a = bound(5007), b = connected(5008, 5007);
  static struct mmsghdr out[1500], in[1500];
  static char bytes[1500];
  static struct iovec data[1500], places[1500];
  const int size = 1 << 21;
  setsockopt(a, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  for (int i = 0; i < 1500; ++i) {
    data[i] = (struct iovec){"m", 1};
    places[i] = (struct iovec){&bytes[i], 1};
    out[i].msg_hdr = (struct msghdr){.msg_iov = &data[i], .msg_iovlen = 1};
    in[i].msg_hdr = (struct msghdr){.msg_iov = &places[i], .msg_iovlen = 1};
  }
  SHOW(sendmmsg(b, out, 40, 0));
  SHOW(recvmmsg(a, in, 1500, MSG_WAITFORONE, NULL));
  SHOW(fcntl(a, F_SETFL, O_NONBLOCK));
  SHOW(recvmmsg(a, in, 1500, 0, NULL));
  SHOW(sendmmsg(b, out, 1500, 0));
}

static void errors(void) {
  const int b = connected(5010, 5009), on = 1;
  SHOW(send(b, "nobody", 6, 0));
  SHOW(recv(b, room, 10, 0));
  SHOW(recv(b, room, 10, MSG_DONTWAIT));
  SHOW(send(b, "nobody", 6, 0));
  SHOW(send(b, "nobody", 6, 0));
  SHOW(setsockopt(b, IPPROTO_IP, IP_RECVERR, &on, sizeof on));
  SHOW(send(b, "nobody", 6, 0));
  struct iovec place = {room, sizeof room};
  char control[256];
  struct msghdr in = {.msg_iov = &place, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  SHOW(recvmsg(b, &in, MSG_ERRQUEUE));
  const struct cmsghdr* c = CMSG_FIRSTHDR(&in);
  const struct sock_extended_err* e = c != NULL ? (const void*)CMSG_DATA(c) : NULL;
  if (e != NULL)
    printf("  error %u origin %u type %u, flags %x\n", e->ee_errno, e->ee_origin, e->ee_type, in.msg_flags);
  SHOW(recvmsg(b, &in, MSG_ERRQUEUE));
}

static void controls(void) {
  const int a = bound(5011), b = udp(0), on = 1;
  SHOW(setsockopt(a, IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
  SHOW(setsockopt(a, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
  struct sockaddr_in to = at("127.0.0.1", 5011);
  struct iovec data = {"c", 1}, place = {room, sizeof room};
  union {
    char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct cmsghdr align;
  } control = {0};
  struct msghdr out = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &data, .msg_iovlen = 1};
  out.msg_control = &control;
  out.msg_controllen = CMSG_SPACE(sizeof(int));
  struct cmsghdr* c = CMSG_FIRSTHDR(&out);
  *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL};
  memcpy(CMSG_DATA(c), &(int){7}, sizeof(int));
  SHOW(sendmsg(b, &out, 0));
  char got[256];
  struct msghdr in = {.msg_iov = &place, .msg_iovlen = 1, .msg_control = got, .msg_controllen = sizeof got};
  SHOW(recvmsg(a, &in, 0));
  for (c = CMSG_FIRSTHDR(&in); c != NULL; c = CMSG_NXTHDR(&in, c)) {
    printf("  level %d type %d len %zu value %d\n", c->cmsg_level, c->cmsg_type, c->cmsg_len, *(int*)CMSG_DATA(c));
  }
  c = CMSG_FIRSTHDR(&out);
  c->cmsg_type = 99;
  SHOW(sendmsg(b, &out, 0));
  *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(uint16_t)), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT};
  memcpy(CMSG_DATA(c), &(uint16_t){1}, sizeof(uint16_t));
  data = (struct iovec){"segments", 8};
  SHOW(sendmsg(b, &out, 0));
  in.msg_controllen = 4;
  SHOW(recvmsg(a, &in, 0));
  printf("  flags %x controllen %zu\n", in.msg_flags, in.msg_controllen);
}

int main(void) {
  begin();
  plain();
  refusals();
  messages();
  bursts();
  many();
  errors();
  controls();
  return 0;
}
