/* Lone datagrams between two programs that sleep: `round_trip serve PORT` sends back what comes, `round_trip ask
 * ADDRESS PORT COUNT` sends COUNT datagrams, each some time after the last answer, and prints the median nanoseconds
 * that an answer took. Plain socket calls: what carries them is what the program is run under. */

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum { size = 64, most = 100000 };

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int serve(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (bind(fd, (struct sockaddr*)&where, sizeof where) != 0) return 1;
  puts("ready");
  fflush(stdout);
  for (;;) {
    char data[2048];
    socklen_t length = sizeof where;
    const ssize_t got = recvfrom(fd, data, sizeof data, 0, (struct sockaddr*)&where, &length);
    if (got >= 0) sendto(fd, data, (size_t)got, 0, (struct sockaddr*)&where, length);
  }
}

static int smaller(const void* a, const void* b) {
  const int64_t x = *(const int64_t*)a, y = *(const int64_t*)b;
  return (x > y) - (x < y);
}

static int ask(const char* address, uint16_t port, int count) {
  static int64_t took[most];
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  const struct timeval patience = {.tv_sec = 1};
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, address, &where.sin_addr) != 1 || count < 1 || count > most) return 2;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd, (struct sockaddr*)&where, sizeof where) != 0) return 1;
  char data[size] = "";
  int answers = 0;
  for (int i = 0; i < count + 10; ++i) {
    const struct timespec pause = {.tv_nsec = 300000}; /* so that both ends are asleep again */
    nanosleep(&pause, NULL);
    const int64_t start = now();
    if (send(fd, data, sizeof data, 0) != size || recv(fd, data, sizeof data, 0) != size) continue;
    if (i >= 10) took[answers++] = now() - start; /* the first find the way */
  }
  if (answers < count * 9 / 10) return 1;
  qsort(took, (size_t)answers, sizeof took[0], smaller);
  printf("%lld\n", (long long)took[answers / 2]);
  return 0;
}

int main(int count, char** words) {
  if (count == 3 && strcmp(words[1], "serve") == 0) return serve((uint16_t)atoi(words[2]));
  if (count == 5 && strcmp(words[1], "ask") == 0) return ask(words[2], (uint16_t)atoi(words[3]), atoi(words[4]));
  fprintf(stderr, "usage: round_trip serve PORT | ask ADDRESS PORT COUNT\n");
  return 2;
}
