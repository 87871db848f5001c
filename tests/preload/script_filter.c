/* Filters of a program's own: what they see, cut and refuse, and who may change them. */
#include "script.h"

#include <linux/filter.h>

static char room[3000];

static void set(int fd, int name, int value) {
  printf("option %d: ", name);
  SHOW(setsockopt(fd, SOL_SOCKET, name, &value, sizeof value));
}

#define CODE(...) \
  ((struct sock_filter[]){__VA_ARGS__}), sizeof((struct sock_filter[]){__VA_ARGS__}) / sizeof(struct sock_filter)

static long attach(int fd, int name, const struct sock_filter* code, size_t count) {
  const struct sock_fprog program = {(unsigned short)count, (struct sock_filter*)code};
  return setsockopt(fd, SOL_SOCKET, name, &program, sizeof program);
}

static void receive(int fd) {
  union {
    struct cmsghdr align;
    char bytes[100];
  } control;
  struct iovec piece = {room, sizeof room};
  struct msghdr m = {NULL, 0, &piece, 1, control.bytes, sizeof control, 0};
  errno = 0;
  const long size = recvmsg(fd, &m, MSG_DONTWAIT);
  printf("received %ld errno %d flags %x %.*s", size, errno, m.msg_flags, (int)(size > 0 && size < 40 ? size : 0),
         room);
  for (struct cmsghdr* c = size < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    unsigned lost;
    memcpy(&lost, CMSG_DATA(c), sizeof lost);
    printf(" type %d: %u", c->cmsg_type, lost);
  }
  putchar('\n');
}

static void lengths(void) {
  const int a = bound(5501), b = connected(5502, 5501);
  const unsigned kept[] = {0, 1, 7, 8, 9, 12, 19, 20, 0xffffffff};
  set(a, SO_RXQ_OVFL, 1);
  for (size_t i = 0; i < sizeof kept / sizeof *kept; ++i) {
    SHOW(send(b, "before them", 11, 0));
    SHOW(attach(a, SO_ATTACH_FILTER, CODE(BPF_STMT(BPF_RET | BPF_K, kept[i]))));
    SHOW(send(b, "hello world", 11, 0));
    SHOW(send(b, "", 0, 0));
    struct pollfd p = {a, POLLIN, 0};
    SHOW(poll(&p, 1, 0));
    for (int n = 0; n < 4; ++n) receive(a);
  }
  SHOW(setsockopt(a, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
  SHOW(send(b, "all of it", 9, 0));
  receive(a);
  close(a), close(b);
}

/* Each load, shown by the length that is kept, a byte at a time. */
static void loads(int family) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(5511), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  struct sockaddr_in four = at("127.0.0.1", 5511);
  const struct sockaddr* to = family == AF_INET6 ? (void*)&six : (void*)&four;
  const socklen_t size = family == AF_INET6 ? sizeof six : sizeof four;
  const int a = socket(family, SOCK_DGRAM, 0), b = socket(family, SOCK_DGRAM, 0);
  SHOW(bind(a, to, size));
  six.sin6_port = four.sin_port = htons(5512);
  SHOW(bind(b, to, size));
  six.sin6_port = four.sin_port = htons(5511);
  SHOW(connect(b, to, size));
  for (int i = 0; i < 600; ++i) room[i] = (char)(i * 7);
  char payload[600];
  memcpy(payload, room, sizeof payload);
  const unsigned places[] = {0,
                             2,
                             8,
                             100,
                             604,
                             605,
                             606,
                             607,
                             608,
                             0x7fffffff,
                             SKF_NET_OFF + 16,
                             SKF_NET_OFF + 6,
                             SKF_NET_OFF + 12,
                             SKF_NET_OFF + 625,
                             SKF_NET_OFF + 700,
                             SKF_AD_OFF + SKF_AD_PROTOCOL,
                             SKF_AD_OFF + SKF_AD_PKTTYPE,
                             SKF_AD_OFF + SKF_AD_IFINDEX,
                             SKF_AD_OFF + SKF_AD_MARK,
                             SKF_AD_OFF + SKF_AD_HATYPE,
                             SKF_AD_OFF + SKF_AD_PAY_OFFSET,
                             SKF_AD_OFF + SKF_AD_ALU_XOR_X,
                             SKF_LL_OFF + 8,
                             0xffffffff};
  const unsigned short widths[] = {BPF_W, BPF_H, BPF_B};
  /* The link's header leaves the socket to the kernel, and is therefore the last. */
  for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
    for (int w = 0; w < 3; ++w) {
      printf("load %x width %d:", places[i], w);
      for (unsigned shift = 0; shift < 32; shift += 8) {
        const long outcome =
            attach(a, SO_ATTACH_FILTER,
                   CODE(BPF_STMT(BPF_LDX | BPF_IMM, 0x1234), BPF_STMT(BPF_LD | BPF_ABS | widths[w], places[i]),
                        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, shift), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff),
                        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 9), BPF_STMT(BPF_RET | BPF_A, 0)));
        send(b, payload, sizeof payload, 0);
        const long kept = recv(a, room, sizeof room, MSG_DONTWAIT);
        printf(" %ld/%ld", outcome, kept);
      }
      putchar('\n');
    }
  }
  close(a), close(b);
}

static void programs(void) {
  const int a = bound(5521), b = connected(5522, 5521);
#define TRY(...)                                            \
  do {                                                      \
    SHOW(attach(a, SO_ATTACH_FILTER, CODE(__VA_ARGS__)));   \
    send(b, "abcdefghijklmnopqrstuvwxyz0123456789", 36, 0); \
    receive(a);                                             \
  } while (0)
#define A BPF_STMT(BPF_RET | BPF_A, 0)
  TRY(BPF_STMT(BPF_LD | BPF_LEN, 0), BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 20), A);
  TRY(BPF_STMT(BPF_LDX | BPF_LEN, 0), BPF_STMT(BPF_MISC | BPF_TXA, 0), BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 3), A);
  TRY(BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, (unsigned)SKF_NET_OFF), BPF_STMT(BPF_MISC | BPF_TXA, 0), A);
  TRY(BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0x7fffffff), BPF_STMT(BPF_MISC | BPF_TXA, 0), A);
  TRY(BPF_STMT(BPF_LDX | BPF_IMM, (unsigned)SKF_NET_OFF), BPF_STMT(BPF_LD | BPF_B | BPF_IND, 9), A);
  TRY(BPF_STMT(BPF_LDX | BPF_IMM, 0xfffffff8), BPF_STMT(BPF_LD | BPF_H | BPF_IND, 12), A);
  TRY(BPF_STMT(BPF_LDX | BPF_IMM, (unsigned)SKF_AD_OFF), BPF_STMT(BPF_LD | BPF_W | BPF_IND, 8), A);
  TRY(BPF_STMT(BPF_LD | BPF_IMM, 77), BPF_STMT(BPF_ST, 15), BPF_STMT(BPF_LD | BPF_IMM, 0),
      BPF_STMT(BPF_LDX | BPF_MEM, 15), BPF_STMT(BPF_STX, 0), BPF_STMT(BPF_LD | BPF_MEM, 0),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 50), A);
  TRY(BPF_STMT(BPF_LD | BPF_IMM, 5), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), A);
  TRY(BPF_STMT(BPF_LD | BPF_IMM, 5), BPF_STMT(BPF_ALU | BPF_MOD | BPF_X, 0), A);
  TRY(BPF_STMT(BPF_LD | BPF_IMM, 5), BPF_STMT(BPF_LDX | BPF_IMM, 34), BPF_STMT(BPF_ALU | BPF_LSH | BPF_X, 0), A);
  TRY(BPF_STMT(BPF_LD | BPF_IMM, 80), BPF_STMT(BPF_LDX | BPF_IMM, 33), BPF_STMT(BPF_ALU | BPF_RSH | BPF_X, 0), A);
  TRY(BPF_STMT(BPF_LD | BPF_IMM, (unsigned)-20), BPF_STMT(BPF_ALU | BPF_NEG, 0), A);
  TRY(BPF_STMT(BPF_LD | BPF_IMM, 20), BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), BPF_STMT(BPF_LD | BPF_IMM, 30), A);
  const unsigned short tests[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
  for (int t = 0; t < 4; ++t) {
    for (unsigned value = 19; value < 22; ++value) {
      TRY(BPF_STMT(BPF_LD | BPF_IMM, value), BPF_JUMP(BPF_JMP | tests[t] | BPF_K, 20, 1, 0),
          BPF_STMT(BPF_RET | BPF_K, 11), BPF_STMT(BPF_RET | BPF_K, 22));
      TRY(BPF_STMT(BPF_LD | BPF_IMM, value), BPF_STMT(BPF_LDX | BPF_IMM, 20),
          BPF_JUMP(BPF_JMP | tests[t] | BPF_X, 0, 0, 1), BPF_STMT(BPF_RET | BPF_K, 13), BPF_STMT(BPF_RET | BPF_K, 24));
    }
  }
  /* What is no program. */
  TRY(BPF_STMT(BPF_LD | BPF_IMM, 1));
  TRY(BPF_STMT(BPF_RET | BPF_X, 0));
  TRY(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), A);
  TRY(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), A);
  TRY(BPF_STMT(BPF_LD | BPF_MEM, 3), A);
  TRY(BPF_STMT(BPF_ST, 16), A);
  TRY(BPF_JUMP(BPF_JMP | BPF_JA, 5, 0, 0), A);
  TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_MAX), A);
  static struct sock_filter longest[BPF_MAXINSNS + 1];
  for (int i = 0; i <= BPF_MAXINSNS; ++i) longest[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 10);
  SHOW(attach(a, SO_ATTACH_FILTER, longest, BPF_MAXINSNS + 1));
  SHOW(attach(a, SO_ATTACH_FILTER, longest, BPF_MAXINSNS));
  send(b, "the longest", 11, 0);
  receive(a);
  close(a), close(b);
}

static void show_program(int fd, socklen_t count) {
  struct sock_filter out[8];
  memset(out, 0xaa, sizeof out);
  SHOW(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, count ? out : NULL, &count));
  printf("  %u:", count);
  for (size_t i = 0; i < 4; ++i) printf(" %x %x %x %x", out[i].code, out[i].jt, out[i].jf, out[i].k);
  putchar('\n');
}

static void rights(void) {
  const int a = bound(5531), b = connected(5532, 5531);
  const struct sock_fprog nowhere = {1, (void*)8}, none = {1, NULL}, empty = {0, (void*)&nowhere};
  show_program(a, 0);
  show_program(a, 4);
  SHOW(setsockopt(a, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
  SHOW(setsockopt(a, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, 2));
  SHOW(setsockopt(a, SOL_SOCKET, SO_ATTACH_FILTER, &nowhere, sizeof nowhere));
  SHOW(setsockopt(a, SOL_SOCKET, SO_ATTACH_FILTER, &none, sizeof none));
  SHOW(setsockopt(a, SOL_SOCKET, SO_ATTACH_FILTER, &empty, sizeof empty));
  SHOW(setsockopt(a, SOL_SOCKET, SO_ATTACH_FILTER, &nowhere, sizeof nowhere - 1));
  SHOW(attach(a, SO_ATTACH_FILTER, CODE(BPF_STMT(BPF_LD | BPF_LEN, 0), A)));
  for (socklen_t count = 0; count < 4; ++count) show_program(a, count);
  SHOW(attach(a, SO_ATTACH_FILTER, CODE(BPF_STMT(BPF_RET | BPF_X, 0))));
  show_program(a, 4);
  SHOW(setsockopt(a, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
  show_program(a, 4);
  SHOW(attach(a, SO_ATTACH_FILTER, CODE(BPF_STMT(BPF_RET | BPF_K, 10))));
  int locked = -1;
  socklen_t size = sizeof locked;
  SHOW(getsockopt(a, SOL_SOCKET, SO_LOCK_FILTER, &locked, &size));
  set(a, SO_LOCK_FILTER, 0);
  set(a, SO_LOCK_FILTER, 7);
  set(a, SO_LOCK_FILTER, 0);
  set(a, SO_LOCK_FILTER, 1);
  SHOW(getsockopt(a, SOL_SOCKET, SO_LOCK_FILTER, &locked, &size));
  printf("  %d\n", locked);
  SHOW(attach(a, SO_ATTACH_FILTER, CODE(BPF_STMT(BPF_RET | BPF_K, 12))));
  SHOW(setsockopt(a, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
  SHOW(send(b, "cut", 3, 0));
  receive(a);
  show_program(a, 4);
  SHOW(setsockopt(b, SOL_SOCKET, SO_ATTACH_BPF, &(int){99}, sizeof(int)));
  SHOW(sendto(a, "still here", 10, 0, LOCAL(5532)));
  receive(b);
  const int c = bound(5533);
  set(c, SO_LOCK_FILTER, 1);
  SHOW(attach(c, SO_ATTACH_FILTER, CODE(BPF_STMT(BPF_RET | BPF_K, 12))));
  SHOW(setsockopt(c, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
  SHOW(sendto(a, "all", 3, 0, LOCAL(5533)));
  receive(c);
  close(a), close(b), close(c);
}

static int member(int port, int shares) {
  const int fd = udp(0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shares, sizeof shares);
  if (port != 0 && bind(fd, LOCAL(port)) != 0) return -errno;
  return fd;
}

/* Which of them gets it; -1: none. */
static int chosen(const int* members, int count, int by, const char* data, size_t size, int port) {
  if (sendto(by, data, size, 0, LOCAL(port)) < 0) return -2;
  for (int i = 0; i < count; ++i) {
    if (members[i] >= 0 && recv(members[i], room, sizeof room, MSG_DONTWAIT) >= 0) return i;
  }
  return -1;
}

static void show_choices(const int* members, int count, int by, int values, int port) {
  printf("  chosen");
  for (char value = 0; value < values; ++value) printf(" %d", chosen(members, count, by, &value, 1, port));
  putchar('\n');
}

#define FIRST_BYTE BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), A

static void groups(void) {
  const int by = bound(5540);
  int m[6];
  for (int i = 0; i < 4; ++i) m[i] = member(5541, 1);
  SHOW(attach(m[2], SO_ATTACH_REUSEPORT_CBPF, CODE(FIRST_BYTE)));
  show_choices(m, 4, by, 4, 5541);
  printf("  nothing to look at %d\n", chosen(m, 4, by, "", 0, 5541));
  close(m[1]);
  m[1] = -1;
  show_choices(m, 4, by, 3, 5541);
  m[4] = member(5541, 1);
  show_choices(m, 5, by, 4, 5541);
  SHOW(attach(m[4], SO_ATTACH_REUSEPORT_CBPF, CODE(BPF_STMT(BPF_LD | BPF_LEN, 0), A)));
  for (size_t size = 0; size < 4; ++size) printf("  by length %d\n", chosen(m, 5, by, room, size, 5541));
  SHOW(attach(m[0], SO_ATTACH_REUSEPORT_CBPF,
              CODE(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_NET_OFF + 16), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 3), A)));
  show_choices(m, 5, by, 1, 5541);
  SHOW(attach(m[0], SO_ATTACH_REUSEPORT_CBPF, CODE(FIRST_BYTE)));
  SHOW(setsockopt(m[4], SOL_SOCKET, 68, &(int){0}, sizeof(int)));
  SHOW(setsockopt(m[0], SOL_SOCKET, 68, &(int){0}, sizeof(int)));
  SHOW(setsockopt(m[0], SOL_SOCKET, 68, &(int){0}, 2));
  SHOW(attach(m[0], SO_ATTACH_REUSEPORT_CBPF, CODE(BPF_STMT(BPF_RET | BPF_X, 0))));
  SHOW(attach(m[0], SO_ATTACH_REUSEPORT_CBPF, CODE(FIRST_BYTE)));
  SHOW(connect(m[2], LOCAL(5540)));
  show_choices(m, 5, by, 4, 5541);
  const struct sockaddr nobody = {AF_UNSPEC};
  SHOW(connect(m[2], &nobody, sizeof nobody));
  SHOW(connect(m[3], LOCAL(5549)));
  printf("  one with another peer isn't chosen: %d\n", chosen(m, 5, by, "\1", 1, 5541) != 3);
  for (int i = 0; i < 5; ++i) close(m[i]);
  for (int i = 0; i < 5; ++i) m[i] = member(5543, 1);
  SHOW(attach(m[0], SO_ATTACH_REUSEPORT_CBPF,
              CODE(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_CPU), BPF_STMT(BPF_LD | BPF_IMM, 0), A)));
  show_choices(m, 5, by, 2, 5543);
  for (int i = 0; i < 5; ++i) close(m[i]);

  const int alone = member(0, 0), shares = member(0, 1);
  SHOW(setsockopt(alone, SOL_SOCKET, 68, &(int){0}, sizeof(int)));
  SHOW(attach(alone, SO_ATTACH_REUSEPORT_CBPF, CODE(FIRST_BYTE)));
  SHOW(setsockopt(shares, SOL_SOCKET, 68, &(int){0}, sizeof(int)));
  SHOW(attach(shares, SO_ATTACH_REUSEPORT_CBPF, CODE(FIRST_BYTE)));
  SHOW(bind(shares, LOCAL(5542)));
  m[0] = shares;
  for (int i = 1; i < 3; ++i) m[i] = member(5542, 1);
  show_choices(m, 3, by, 3, 5542);
  const int late = member(0, 1);
  SHOW(attach(late, SO_ATTACH_REUSEPORT_CBPF, CODE(FIRST_BYTE)));
  SHOW(bind(late, LOCAL(5542)));
  SHOW(setsockopt(m[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &(int){99}, sizeof(int)));
  close(alone), close(late), close(by);
  for (int i = 0; i < 3; ++i) close(m[i]);
}

int main(void) {
  begin();
  lengths();
  loads(AF_INET);
  loads(AF_INET6);
  programs();
  rights();
  groups();
  return 0;
}
