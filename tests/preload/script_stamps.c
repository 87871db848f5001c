/* When datagrams came and went: SO_TIMESTAMP and its like, the error queue's reports, their numbers. */
#include "script.h"

enum {
  tx_hardware = 1,
  tx_software = 2,
  rx_software = 8,
  software = 16,
  with_id = 128,
  tx_scheduled = 256,
  tx_acknowledged = 512,
  with_facts = 1024,
  stamp_only = 2048,
  only_if_asked = 1 << 17,
  new_us = 63,
  new_ns = 64,
  new_flags = 65,
  stamp_id = 81
};

static char room[2000];

static void set(int fd, int name, int value) { SHOW(setsockopt(fd, SOL_SOCKET, name, &value, sizeof value)); }

/* A stamp of the last seconds. */
static const char* judged(int64_t seconds) {
  const int64_t age = time(NULL) - seconds;
  return seconds == 0 ? "none" : age >= -1 && age < 30 ? "now" : "wrong";
}

static void show_bytes(const void* bytes, size_t size) {
  for (size_t i = 0; i < size; ++i) printf("%02x", ((const unsigned char*)bytes)[i]);
}

static void show_control(struct msghdr* m) {
  for (struct cmsghdr* c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
    const size_t size = c->cmsg_len - CMSG_LEN(0);
    printf("  level %d type %d size %zu ", c->cmsg_level, c->cmsg_type, size);
    int64_t words[6] = {0};
    memcpy(words, CMSG_DATA(c), size < sizeof words ? size : sizeof words);
    const int is_stamp = c->cmsg_level == SOL_SOCKET && c->cmsg_type != SO_RXQ_OVFL;
    const int is_micro = c->cmsg_type == SO_TIMESTAMP || c->cmsg_type == new_us;
    if (is_stamp && size >= 16) {
      printf("%s, fraction %s, rest", judged(words[0]),
             words[1] < (is_micro ? 1000000 : 1000000000) ? "fits" : "wrong");
      show_bytes(words + 2, size - 16);
    } else if (is_stamp) {
      printf("cut");
    } else {
      show_bytes(CMSG_DATA(c), size);
    }
    putchar('\n');
  }
}

/* Numbers and checksums of the headers differ from one stack to the next. */
static void show_frame(unsigned char* bytes, long size) {
  if (size >= 42 && bytes[12] == 8) memset(bytes + 18, 0, 2), memset(bytes + 24, 0, 2), memset(bytes + 40, 0, 2);
  if (size >= 62 && bytes[12] == 0x86) memset(bytes + 14, 0, 4), memset(bytes + 60, 0, 2);
  printf("  frame ");
  show_bytes(bytes, size < 0 ? 0 : (size_t)size);
  putchar('\n');
}

static long receive(int fd, int flags, size_t data_size, size_t control_size) {
  union {
    struct cmsghdr align;
    char bytes[512];
  } control;
  struct sockaddr_in6 from;
  struct iovec piece = {room, data_size};
  struct msghdr m = {&from, sizeof from, &piece, 1, control.bytes, control_size, 0};
  errno = 0;
  const long size = recvmsg(fd, &m, flags | MSG_DONTWAIT);
  printf("received %ld errno %d flags %x name %u control %zu\n", size, errno, m.msg_flags, m.msg_namelen,
         m.msg_controllen);
  if (size < 0) return size;
  show_control(&m);
  if (flags & MSG_ERRQUEUE) show_frame((unsigned char*)room, size);
  return size;
}

static void show_reports(int fd) {
  for (int i = 0; i < 6 && receive(fd, MSG_ERRQUEUE, sizeof room, 512) >= 0; ++i) continue;
}

static void choices(void) {
  const int names[] = {SO_TIMESTAMP, SO_TIMESTAMPNS, new_us, new_ns},
            all[] = {SO_TIMESTAMP, SO_TIMESTAMPNS, new_us, new_ns, SO_TIMESTAMPING, new_flags};
  for (int first = 0; first < 4; ++first) {
    for (int second = 0; second < 8; ++second) {
      const int a = udp(0);
      set(a, names[first], 7);
      set(a, names[second % 4], second < 4);
      for (int i = 0; i < 6; ++i) {
        int value[2] = {-1, -1};
        socklen_t size = i < 4 ? sizeof(int) : sizeof value;
        getsockopt(a, SOL_SOCKET, all[i], value, &size);
        printf(" %d/%d/%u", value[0], value[1], size);
      }
      putchar('\n');
      close(a);
    }
  }
  const int flags[] = {0,       1,       24,      1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 16, 1 << 16 | 128,
                       1 << 12, 3 << 11, 1 << 15, -1};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; ++i) {
    const int a = udp(0);
    set(a, i % 2 ? SO_TIMESTAMPING : new_flags, flags[i]);
    int value[5] = {-1, -1, -1, -1, -1};
    socklen_t size = (socklen_t)(i * 2);
    SHOW(getsockopt(a, SOL_SOCKET, SO_TIMESTAMPING, value, &size));
    printf("  %x %x size %u\n", value[0], value[1], size);
    close(a);
  }
  const int a = udp(0);
  const struct { int flags, clock; } both = {24, 5};
  SHOW(setsockopt(a, SOL_SOCKET, SO_TIMESTAMPING, &both, sizeof both));
  SHOW(setsockopt(a, SOL_SOCKET, SO_TIMESTAMPING, &both, 3));
  SHOW(setsockopt(a, SOL_SOCKET, SO_TIMESTAMP, &both, 3));
  close(a);
}

static void received(void) {
  const int a = bound(5301), b = connected(5302, 5301), six = 41;
  set(a, SO_TIMESTAMP, 1);
  /* The kernel takes its time until it stamps what comes in. */
  for (int tries = 0; tries < 2000; ++tries) {
    const int probe = bound(5303);
    const int on = software | rx_software;
    setsockopt(probe, SOL_SOCKET, SO_TIMESTAMPING, &on, sizeof on);
    char control[100];
    struct msghdr m = {.msg_control = control, .msg_controllen = sizeof control};
    sendto(b, "", 0, 0, LOCAL(5303));
    recvmsg(probe, &m, 0);
    close(probe);
    if (m.msg_controllen != 0) break;
    usleep(1000);
  }
  SHOW(setsockopt(a, IPPROTO_IP, IP_RECVTTL, &six, sizeof six));
  const int names[] = {SO_TIMESTAMP, SO_TIMESTAMPNS, new_us, new_ns};
  for (int i = 0; i < 4; ++i) {
    set(a, names[i], 1);
    SHOW(send(b, "x", 1, 0));
    receive(a, 0, 100, 512);
  }
  const int flags[] = {software | rx_software, software, rx_software, software | only_if_asked,
                       software | rx_software | only_if_asked};
  for (int i = 0; i < 5; ++i) {
    set(a, i % 2 ? new_flags : SO_TIMESTAMPING, flags[i]);
    SHOW(send(b, "x", 1, 0));
    receive(a, 0, 100, 512);
  }
  set(a, SO_TIMESTAMPNS, 0);
  SHOW(send(b, "x", 1, 0));
  receive(a, 0, 100, 512);
  set(a, SO_TIMESTAMPING, 0);
  set(a, SO_TIMESTAMP, 1);
  SHOW(send(b, "x", 1, 0));
  receive(a, 0, 100, 512);
  for (size_t space = 0; space < 50; space += 5) {
    SHOW(send(b, "x", 1, 0));
    receive(a, MSG_PEEK, 100, space);
    receive(a, 0, 100, space);
  }
  set(a, SO_TIMESTAMP, 0);
  SHOW(send(b, "before it was asked for", 23, 0));
  set(a, SO_TIMESTAMP, 1);
  receive(a, 0, 100, 512);
  close(a);
  close(b);
}

static void reported(int family) {
  const int flags[] = {tx_software | software,
                       tx_software | software | with_id,
                       tx_software | software | with_id | stamp_only,
                       tx_software | tx_scheduled | software | with_id,
                       tx_software | with_facts | software,
                       tx_software | with_facts | stamp_only | software,
                       tx_software,
                       tx_scheduled | software,
                       tx_acknowledged | software,
                       software | with_id};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(5311), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  struct sockaddr_in four = at("127.0.0.1", 5311);
  const struct sockaddr* to = family == AF_INET6 ? (void*)&six : (void*)&four;
  const socklen_t size = family == AF_INET6 ? sizeof six : sizeof four;
  const int a = socket(family, SOCK_DGRAM, 0);
  SHOW(bind(a, to, size));
  six.sin6_port = four.sin_port = htons(5312);
  for (size_t i = 0; i < sizeof flags / sizeof *flags; ++i) {
    const int b = socket(family, SOCK_DGRAM, 0), on = 1;
    SHOW(bind(b, to, size));
    six.sin6_port = four.sin_port = htons(5311);
    SHOW(connect(b, to, size));
    six.sin6_port = four.sin_port = htons(5312);
    set(b, i % 2 ? SO_TIMESTAMPING : new_flags, flags[i]);
    if (family == AF_INET) SHOW(setsockopt(b, IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
    if (family == AF_INET) SHOW(setsockopt(b, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
    if (family == AF_INET6) SHOW(setsockopt(b, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on));
    if (family == AF_INET6) SHOW(setsockopt(b, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on));
    SHOW(send(b, "hello", 5, 0));
    SHOW(send(b, "again", 5, 0));
    struct pollfd p = {b, POLLIN | POLLPRI, 0};
    SHOW(poll(&p, 1, 0));
    printf("  events %x\n", p.revents);
    show_reports(b);
    SHOW(poll(&p, 1, 0));
    int pending = -1;
    socklen_t length = sizeof pending;
    SHOW(getsockopt(b, SOL_SOCKET, SO_ERROR, &pending, &length));
    printf("  pending %d\n", pending);
    SHOW(recv(a, room, sizeof room, 0));
    SHOW(recv(a, room, sizeof room, 0));
    close(b);
  }
  close(a);
}

struct choice {
  int type;
  size_t size;
  uint32_t value;
};

static long send_with(int fd, const struct choice* chosen, int count) {
  union {
    struct cmsghdr align;
    char bytes[100];
  } control = {0};
  struct iovec piece = {"payload", 7};
  struct msghdr m = {NULL, 0, &piece, 1, control.bytes, 0, 0};
  for (int i = 0; i < count; ++i) {
    const struct cmsghdr header = {CMSG_LEN(chosen[i].size), SOL_SOCKET, chosen[i].type};
    memcpy(control.bytes + m.msg_controllen, &header, sizeof header);
    memcpy(control.bytes + m.msg_controllen + CMSG_LEN(0), &chosen[i].value, 4);
    m.msg_controllen += CMSG_SPACE(chosen[i].size);
  }
  return sendmsg(fd, &m, 0);
}

static void chosen(void) {
  const int a = bound(5321), b = connected(5322, 5321);
  const struct choice each[] = {{SO_TIMESTAMPING, 4, tx_software},
                                {new_flags, 4, tx_scheduled},
                                {SO_TIMESTAMPING, 4, 16},
                                {SO_TIMESTAMPING, 2, 2},
                                {SO_TIMESTAMPING, 8, 2},
                                {SO_TIMESTAMPING, 4, 0},
                                {stamp_id, 4, 77},
                                {stamp_id, 2, 77},
                                {SO_TIMESTAMP, 4, 1},
                                {new_flags, 4, 1 << 18},
                                {new_flags, 4, 1 << 19},
                                {999, 4, 0}};
  const int flags[] = {software, software | with_id | stamp_only, software | with_id | tx_software};
  for (int set_to = 0; set_to < 3; ++set_to) {
    set(b, SO_TIMESTAMPING, flags[set_to]);
    for (size_t i = 0; i < sizeof each / sizeof *each; ++i) {
      printf("type %d size %zu value %u\n", each[i].type, each[i].size, each[i].value);
      SHOW(send_with(b, &each[i], 1));
      show_reports(b);
    }
    const struct choice both[] = {{SO_TIMESTAMPING, 4, tx_software}, {stamp_id, 4, 4242}};
    SHOW(send_with(b, both, 2));
    SHOW(send(b, "plain", 5, 0));
    show_reports(b);
  }
  set(b, SO_TIMESTAMPING, software);
  set(b, SO_TIMESTAMPING, software | with_id | tx_software);
  SHOW(send(b, "numbered from 0 again", 21, 0));
  SHOW(receive(b, MSG_ERRQUEUE, 5, 512));
  SHOW(send(b, "cut", 3, 0));
  SHOW(receive(b, MSG_ERRQUEUE, sizeof room, 30));
  SHOW(send(b, "one of", 6, 0));
  SHOW(sendto(b, "elsewhere", 9, 0, LOCAL(5329)));
  show_reports(b);
  close(a);
  close(b);
}

int main(void) {
  begin();
  choices();
  received();
  reported(AF_INET);
  reported(AF_INET6);
  chosen();
  return 0;
}
