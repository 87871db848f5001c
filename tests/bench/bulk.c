/* Many equal datagrams to one peer: `bulk receive PORT` counts what comes, joined where the kernel joins, and prints
 * the number when its input ends; `bulk send ADDRESS PORT SIZE MS many|segments` sends for that time, up to 64 in each
 * call by sendmmsg or by UDP_SEGMENT, and prints how many and the nanoseconds for each. Plain socket calls: what
 * carries them is what the program is run under. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { most_at_once = 64, longest = 1472 };

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Of one receive the kernel says of how many datagrams it is, if of more than one. */
static long count_of(struct msghdr* got, ssize_t size) {
  const struct cmsghdr* said = CMSG_FIRSTHDR(got);
  int each;
  if (said == NULL || said->cmsg_level != SOL_UDP || said->cmsg_type != UDP_GRO) return 1;
  memcpy(&each, CMSG_DATA(said), sizeof each);
  return each > 0 ? (size + each - 1) / each : 1;
}

static long receive_all(int fd) {
  static char data[65536];
  long count = 0;
  for (;;) {
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec room = {data, sizeof data};
    struct msghdr got = {.msg_iov = &room, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    const ssize_t size = recvmsg(fd, &got, MSG_DONTWAIT);
    if (size < 0) return count;
    count += count_of(&got, size);
  }
}

static int receive(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1, room = 16 << 20;
  const struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
  setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  if (bind(fd, (const struct sockaddr*)&where, sizeof where) != 0) return 1;
  puts("ready");
  fflush(stdout);
  struct pollfd both[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
  long count = 0;
  while (both[1].revents == 0 && poll(both, 2, -1) > 0) count += receive_all(fd);
  printf("%ld\n", count + receive_all(fd));
  return 0;
}

static int send_for(const char* address, uint16_t port, int size, int milliseconds, int in_segments) {
  static char data[most_at_once * longest];
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (size < 1 || size > longest || inet_pton(AF_INET, address, &where.sin_addr) != 1) return 2;
  if (connect(fd, (struct sockaddr*)&where, sizeof where) != 0) return 1;
  if (in_segments && setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof size) != 0) return 1;
  const int at_once = 65507 / size < most_at_once ? 65507 / size : most_at_once;
  struct iovec each[most_at_once];
  struct mmsghdr many[most_at_once];
  memset(many, 0, sizeof many);
  for (int i = 0; i < most_at_once; ++i) {
    each[i] = (struct iovec){data + i * size, (size_t)size};
    many[i].msg_hdr.msg_iov = &each[i];
    many[i].msg_hdr.msg_iovlen = 1;
  }
  const int64_t start = now(), end = start + (int64_t)milliseconds * 1000000;
  int64_t stop = start;
  long sent = 0;
  while (stop < end) {
    if (in_segments) {
      if (send(fd, data, (size_t)(at_once * size), 0) > 0) sent += at_once;
    } else {
      const int went = sendmmsg(fd, many, (unsigned)at_once, 0);
      if (went > 0) sent += went;
    }
    stop = now();
  }
  printf("%ld %.1f\n", sent, (double)(stop - start) / (double)(sent > 0 ? sent : 1));
  return 0;
}

int main(int count, char** words) {
  if (count == 3 && strcmp(words[1], "receive") == 0) return receive((uint16_t)atoi(words[2]));
  if (count == 7 && strcmp(words[1], "send") == 0)
    return send_for(words[2], (uint16_t)atoi(words[3]), atoi(words[4]), atoi(words[5]),
                    strcmp(words[6], "segments") == 0);
  fprintf(stderr, "usage: bulk receive PORT | send ADDRESS PORT SIZE MS many|segments\n");
  return 2;
}
