/* foreign CASE COUNT [udp]: makes a call COUNT times on descriptors that no UDP socket is behind, and prints
 * nanoseconds for each. With "udp" the process has a UDP socket beside them. It is the fastest of many rows of calls:
 * what else runs here doesn't count. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int pipes[2], pair[2], tcp[2], set, null;
static char byte[1] = "x";

static void must(int is_fine) {
  if (!is_fine) perror("foreign"), exit(1);
}

static void connect_tcp(void) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof where;
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  must(bind(listener, (struct sockaddr*)&where, size) == 0 && listen(listener, 1) == 0);
  must(getsockname(listener, (struct sockaddr*)&where, &size) == 0);
  tcp[0] = socket(AF_INET, SOCK_STREAM, 0);
  must(connect(tcp[0], (struct sockaddr*)&where, size) == 0);
  tcp[1] = accept(listener, NULL, NULL);
  must(tcp[1] >= 0);
  close(listener);
}

static void prepare(void) {
  must(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  connect_tcp();
  null = open("/dev/null", O_RDWR);
  set = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN};
  must(epoll_ctl(set, EPOLL_CTL_ADD, pair[0], &e) == 0 && epoll_ctl(set, EPOLL_CTL_ADD, tcp[0], &e) == 0);
}

static void read_pipe(void) { must(write(pipes[1], byte, 1) == 1 && read(pipes[0], byte, 1) == 1); }
static void read_null(void) { must(read(null, byte, 1) == 0); }
static void write_null(void) { must(write(null, byte, 1) == 1); }
static void send_unix(void) { must(send(pair[0], byte, 1, 0) == 1 && recv(pair[1], byte, 1, 0) == 1); }
static void send_tcp(void) { must(send(tcp[0], byte, 1, 0) == 1 && recv(tcp[1], byte, 1, 0) == 1); }
static void recv_none(void) { must(recv(pair[0], byte, 1, MSG_DONTWAIT) < 0); }
static void writev_null(void) {
  const struct iovec part = {byte, 1};
  must(writev(null, &part, 1) == 1);
}
static void sendmsg_unix(void) {
  struct iovec part = {byte, 1};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
  must(sendmsg(pair[0], &m, 0) == 1 && recvmsg(pair[1], &m, 0) == 1);
}
static void poll_1(void) {
  struct pollfd p = {pair[0], POLLIN, 0};
  must(poll(&p, 1, 0) == 0);
}
static void poll_6(void) {
  struct pollfd p[6] = {{pair[0], POLLIN, 0}, {pair[1], POLLIN, 0},  {tcp[0], POLLIN, 0},
                        {tcp[1], POLLIN, 0},  {pipes[0], POLLIN, 0}, {set, POLLIN, 0}};
  must(poll(p, 6, 0) == 0);
}
static void select_1(void) {
  fd_set in;
  struct timeval none = {0, 0};
  FD_ZERO(&in);
  FD_SET(pair[0], &in);
  must(select(pair[0] + 1, &in, NULL, NULL, &none) == 0);
}
static void epoll(void) {
  struct epoll_event e[8];
  must(epoll_wait(set, e, 8, 0) == 0);
}
static void dup_close(void) { must(close(dup(null)) == 0); }
static void close_none(void) { must(close(900) < 0); }
static void get_flags(void) { must(fcntl(null, F_GETFL) >= 0); }
static void bytes_there(void) {
  int count;
  must(ioctl(pair[0], FIONREAD, &count) == 0);
}

static const struct {
  const char* name;
  void (*once)(void);
} cases[] = {{"read", read_null},      {"write", write_null}, {"writev", writev_null}, {"recv", recv_none},
             {"pipe", read_pipe},      {"unix", send_unix},   {"tcp", send_tcp},       {"sendmsg", sendmsg_unix},
             {"poll", poll_1},         {"poll6", poll_6},     {"select", select_1},    {"epoll_wait", epoll},
             {"dup_close", dup_close}, {"close", close_none}, {"fcntl", get_flags},    {"ioctl", bytes_there}};

enum { row = 200 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int count, char** arguments) {
  if (count < 3) return 2;
  prepare();
  if (count > 3) must(socket(AF_INET, SOCK_DGRAM, 0) >= 0);
  const long times = atol(arguments[2]);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    if (strcmp(cases[i].name, arguments[1]) != 0) continue;
    double least = 1e9;
    for (long rows = 0; rows < times; rows += row) {
      const double start = now();
      for (int n = 0; n < row; ++n) cases[i].once();
      const double each = (now() - start) / row;
      if (each < least) least = each;
    }
    printf("%.2f\n", least);
    return 0;
  }
  return 2;
}
