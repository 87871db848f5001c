/* What the scripts share. A script makes fixed calls and prints what came of each; run with and without the interposer
 * it must print the same. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Prints a call and its result, with the name of errno when it failed. */
#define SHOW(call)                                                  \
  do {                                                              \
    errno = 0;                                                      \
    const long shown_ = (long)(call);                               \
    printf("%s = %ld", #call, shown_);                              \
    if (shown_ == -1) printf(" %s", strerrorname_np(errno));        \
    if (shown_ != -1 && errno != 0) printf(" but errno %d", errno); \
    putchar('\n');                                                  \
  } while (0)

static inline struct sockaddr_in at(const char* host, int port) {
  struct sockaddr_in out = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, host, &out.sin_addr);
  return out;
}
#define LOCAL(port) ((struct sockaddr*)(struct sockaddr_in[]){at("127.0.0.1", port)}), sizeof(struct sockaddr_in)

static inline int udp(int flags) { return socket(AF_INET, SOCK_DGRAM | flags, 0); }
static inline int bound(int port) {
  const int fd = udp(0);
  struct sockaddr_in where = at("127.0.0.1", port);
  if (bind(fd, (struct sockaddr*)&where, sizeof where) != 0) abort();
  return fd;
}
static inline int connected(int port, int peer) {
  const int fd = bound(port);
  struct sockaddr_in to = at("127.0.0.1", peer);
  if (connect(fd, (struct sockaddr*)&to, sizeof to) != 0) abort();
  return fd;
}
static inline void show_data(const char* data, long size) { printf("  data %.*s\n", (int)(size < 0 ? 0 : size), data); }
static inline void show_address(const struct sockaddr_in* a, socklen_t size) {
  char text[32] = "";
  inet_ntop(AF_INET, &a->sin_addr, text, sizeof text);
  printf("  address family %d %s port %d, %u bytes\n", a->sin_family, text, ntohs(a->sin_port), size);
}

/* In the order of their data: which of several that are ready comes first is nobody's promise. */
static inline int by_data(const void* a, const void* b) {
  const struct epoll_event *x = a, *y = b;
  return (x->data.u64 > y->data.u64) - (x->data.u64 < y->data.u64);
}

static inline void show_events(const char* when, int set, int most, int timeout) {
  struct epoll_event events[16];
  errno = 0;
  const int n = epoll_wait(set, events, most, timeout);
  printf("%s: %d errno %d", when, n, errno);
  if (n > 0) qsort(events, (size_t)n, sizeof *events, by_data);
  for (int i = 0; i < n; ++i) printf(" [%x %lu]", events[i].events, (unsigned long)events[i].data.u64);
  putchar('\n');
}

/* A script that hangs ends, and shows how far it came. */
static inline void begin(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(90);
}
