/* Waiting: poll, select, epoll, signals, threads. */
#include "script.h"

int __poll_chk(struct pollfd*, nfds_t, int, size_t);
int __ppoll_chk(struct pollfd*, nfds_t, const struct timespec*, const sigset_t*, size_t);

static char room[100];

static void drop_all(int fd) {
  while (recv(fd, room, sizeof room, MSG_DONTWAIT) >= 0) {
  }
}

static void polls(void) {
  const int a = bound(5201), b = udp(0), pipes = eventfd(0, 0);
  struct pollfd p[] = {{a, POLLIN, 0},  {b, POLLOUT, 0},  {pipes, POLLIN, 0},
                       {-1, POLLIN, 0}, {700, POLLIN, 0}, {a, POLLRDNORM | POLLWRNORM, 0}};
  SHOW(poll(p, 1, 0));
  SHOW(poll(p, 6, 0));
  for (int i = 0; i < 6; ++i) printf("  %d events %x\n", i, p[i].revents);
  SHOW(sendto(b, "x", 1, 0, LOCAL(5201)));
  SHOW(poll(p, 1, 1000));
  SHOW(poll(p, 4, -1));
  for (int i = 0; i < 4; ++i) printf("  %d events %x\n", i, p[i].revents);
  const struct timespec none = {0, 0}, bad = {0, 2000000000};
  SHOW(ppoll(p, 3, &none, NULL));
  SHOW(ppoll(p, 3, &bad, NULL));
  SHOW(__poll_chk(p, 1, 0, sizeof p));
  SHOW(__ppoll_chk(p, 1, &none, NULL, sizeof p));
  SHOW(poll(NULL, 0, 0));
  SHOW(poll(p, 100000000, 0));
  drop_all(a);
  struct pollfd with_file[] = {{a, POLLIN, 0}, {pipes, POLLIN, 0}};
  SHOW(poll(with_file, 2, 10));
  SHOW(eventfd_write(pipes, 1));
  SHOW(poll(with_file, 2, 1000));
  printf("  events %x %x\n", with_file[0].revents, with_file[1].revents);
  close(a), close(b), close(pipes);
}

static void show_set(const char* name, const fd_set* s) {
  printf("  %s", name);
  for (int i = 0; i < 64; ++i) {
    if (FD_ISSET(i, s)) printf(" %d", i);
  }
  putchar('\n');
}

static void selects(void) {
  const int a = bound(5202), b = udp(0), other = eventfd(0, 0);
  fd_set in, out, extra;
  struct timeval none = {0, 0}, some = {5, 0}, strange = {0, 3000000}, bad = {-1, 0};
#define FILL()          \
  do {                  \
    FD_ZERO(&in);       \
    FD_ZERO(&out);      \
    FD_ZERO(&extra);    \
    FD_SET(a, &in);     \
    FD_SET(other, &in); \
    FD_SET(b, &out);    \
    FD_SET(a, &extra);  \
  } while (0)
  FILL();
  SHOW(select(other + 1, &in, NULL, NULL, &none));
  show_set("in", &in);
  FILL();
  SHOW(select(other + 1, &in, &out, &extra, &strange));
  show_set("in", &in), show_set("out", &out), show_set("extra", &extra);
  SHOW(sendto(b, "x", 1, 0, LOCAL(5202)));
  FILL();
  SHOW(select(other + 1, &in, &out, &extra, &some));
  show_set("in", &in), show_set("out", &out), show_set("extra", &extra);
  printf("  time left %d\n", some.tv_sec == 4 || some.tv_sec == 5);
  FILL();
  SHOW(select(getdtablesize(), &in, &out, &extra, NULL));
  show_set("in", &in);
  FILL();
  SHOW(select(a + 1, &in, NULL, NULL, NULL));
  show_set("in", &in);
  FILL();
  SHOW(select(-1, &in, NULL, NULL, &none));
  SHOW(select(other + 1, &in, NULL, NULL, &bad));
  FD_SET(60, &in);
  SHOW(select(61, &in, NULL, NULL, &none));
  show_set("in", &in);
  drop_all(a);
  const struct timespec brief = {0, 10000000};
  FILL();
  SHOW(pselect(other + 1, &in, NULL, NULL, &brief, NULL));
  show_set("in", &in);
  struct timeval left = {0, 10000};
  FILL();
  SHOW(select(other + 1, &in, NULL, NULL, &left));
  printf("  left %ld %ld\n", (long)left.tv_sec, (long)left.tv_usec);
  close(a), close(b), close(other);
}

static int control(int set, int operation, int fd, unsigned events, unsigned long data) {
  struct epoll_event e = {.events = events, .data.u64 = data};
  return epoll_ctl(set, operation, fd, &e);
}

static void levels(void) {
  const int set = epoll_create1(0), a = bound(5203), b = bound(5204), other = eventfd(0, 0);
  printf("descriptors %d %d %d %d\n", set, a, b, other);
  SHOW(control(set, EPOLL_CTL_ADD, a, EPOLLIN, 1));
  SHOW(control(set, EPOLL_CTL_ADD, a, EPOLLIN, 1));
  SHOW(control(set, EPOLL_CTL_ADD, b, EPOLLIN | EPOLLOUT, 2));
  SHOW(control(set, EPOLL_CTL_ADD, other, EPOLLIN, 3));
  SHOW(control(set, EPOLL_CTL_MOD, 60, EPOLLIN, 3));
  SHOW(control(set, 9, a, EPOLLIN, 3));
  SHOW(epoll_ctl(set, EPOLL_CTL_ADD, b, NULL));
  SHOW(control(a, EPOLL_CTL_ADD, b, EPOLLIN, 3));
  SHOW(control(set, EPOLL_CTL_ADD, set, EPOLLIN, 3));
  show_events("nothing", set, 16, 0);
  SHOW(sendto(b, "x", 1, 0, LOCAL(5203)));
  SHOW(sendto(a, "x", 1, 0, LOCAL(5204)));
  SHOW(eventfd_write(other, 1));
  show_events("all", set, 16, 1000);
  show_events("again", set, 16, -1);
  SHOW(epoll_wait(set, (struct epoll_event[4]){0}, 2, 0));
  SHOW(epoll_wait(set, (struct epoll_event[4]){0}, 0, 0));
  SHOW(epoll_wait(set, NULL, 3, 0));
  SHOW(epoll_wait(a, (struct epoll_event[4]){0}, 3, 0));
  bool seen[4] = {false};
  for (int i = 0; i < 12; ++i) {
    struct epoll_event e;
    if (epoll_wait(set, &e, 1, 0) == 1) seen[e.data.u64] = true;
  }
  printf("one by one: %d %d %d\n", seen[1], seen[2], seen[3]);
  SHOW(control(set, EPOLL_CTL_MOD, b, EPOLLIN, 22));
  drop_all(a);
  show_events("a is empty", set, 16, 0);
  SHOW(control(set, EPOLL_CTL_MOD, b, 0, 22));
  show_events("b is off", set, 16, 0);
  SHOW(epoll_ctl(set, EPOLL_CTL_DEL, other, NULL));
  SHOW(epoll_ctl(set, EPOLL_CTL_DEL, b, NULL));
  SHOW(epoll_ctl(set, EPOLL_CTL_DEL, b, NULL));
  show_events("gone", set, 16, 10);
  SHOW(sendto(b, "x", 1, 0, LOCAL(5203)));
  const struct timespec second = {1, 0}, bad = {0, -1};
  SHOW(epoll_pwait(set, (struct epoll_event[4]){0}, 4, 1000, NULL));
  SHOW(epoll_pwait2(set, (struct epoll_event[4]){0}, 4, &second, NULL));
  SHOW(epoll_pwait2(set, (struct epoll_event[4]){0}, 4, NULL, NULL));
  SHOW(epoll_pwait2(set, (struct epoll_event[4]){0}, 4, &bad, NULL));
  SHOW(close(a));
  show_events("a is closed", set, 16, 0);
  SHOW(bind(udp(0), LOCAL(5203)));
  close(set), close(b), close(other);
}

static void edges(void) {
  const int set = epoll_create(1), a = bound(5205), b = udp(0);
  SHOW(control(set, EPOLL_CTL_ADD, a, EPOLLIN | EPOLLET, 1));
  show_events("nothing", set, 16, 0);
  SHOW(sendto(b, "x", 1, 0, LOCAL(5205)));
  show_events("first", set, 16, 1000);
  show_events("no edge", set, 16, 0);
  drop_all(a);
  show_events("no edge", set, 16, 0);
  SHOW(sendto(b, "x", 1, 0, LOCAL(5205)));
  show_events("second", set, 16, 1000);
  SHOW(control(set, EPOLL_CTL_MOD, a, EPOLLIN | EPOLLET, 2));
  show_events("modified", set, 16, 1000);
  SHOW(control(set, EPOLL_CTL_MOD, a, EPOLLIN | EPOLLOUT | EPOLLET, 3));
  show_events("modified", set, 16, 1000);
  show_events("no edge", set, 16, 0);
  close(set), close(a), close(b);
}

/* An arrival is an edge, whatever lies in the queue and whether or not it is read; reading makes none. */
static void arrivals(void) {
  const int set = epoll_create1(0), other = epoll_create1(0), a = bound(5214), b = udp(0);
  SHOW(control(set, EPOLL_CTL_ADD, a, EPOLLIN | EPOLLET, 1));
  SHOW(control(other, EPOLL_CTL_ADD, a, EPOLLIN | EPOLLOUT | EPOLLET, 2));
  show_events("writing", other, 4, 0);
  for (int i = 0; i < 3; ++i) {
    SHOW(sendto(b, "x", 1, 0, LOCAL(5214)));
    show_events("one more", set, 4, 1000);
    show_events("no edge", set, 4, 0);
  }
  SHOW(recv(a, room, 1, 0));
  show_events("reading is no edge", set, 4, 0);
  show_events("but once for all three", other, 4, 0);
  show_events("but once for all three", other, 4, 0);
  drop_all(a);
  SHOW(sendto(b, "x", 1, 0, LOCAL(5214)));
  SHOW(recv(a, room, 1, 0));
  show_events("read already", set, 4, 0);
  show_events("read already, but writing", other, 4, 0);
  show_events("no edge", other, 4, 0);
  SHOW(sendto(b, "x", 1, 0, LOCAL(5214)));
  SHOW(control(set, EPOLL_CTL_MOD, a, EPOLLIN | EPOLLET | EPOLLONESHOT, 3));
  show_events("once", set, 4, 1000);
  SHOW(sendto(b, "x", 1, 0, LOCAL(5214)));
  show_events("off", set, 4, 0);
  SHOW(shutdown(a, SHUT_RD));
  show_events("shut", other, 4, 1000);
  show_events("no edge", other, 4, 0);
  struct pollfd p = {other, POLLIN, 0};
  SHOW(poll(&p, 1, 0));
  SHOW(sendto(b, "x", 1, 0, LOCAL(5214)));
  SHOW(poll(&p, 1, 1000));
  SHOW(poll(&p, 1, 1000));
  close(set), close(other), close(a), close(b);
}

static void one_shots(void) {
  const int set = epoll_create1(EPOLL_CLOEXEC), a = bound(5206), b = udp(0);
  SHOW(control(set, EPOLL_CTL_ADD, a, EPOLLIN | EPOLLONESHOT, 1));
  SHOW(sendto(b, "x", 1, 0, LOCAL(5206)));
  show_events("first", set, 16, 1000);
  show_events("off", set, 16, 0);
  SHOW(sendto(b, "x", 1, 0, LOCAL(5206)));
  show_events("off", set, 16, 0);
  SHOW(control(set, EPOLL_CTL_ADD, a, EPOLLIN, 1));
  SHOW(control(set, EPOLL_CTL_MOD, a, EPOLLIN | EPOLLONESHOT, 2));
  show_events("on", set, 16, 1000);
  SHOW(epoll_ctl(set, EPOLL_CTL_DEL, a, NULL));
  SHOW(epoll_ctl(set, EPOLL_CTL_DEL, a, NULL));
  SHOW(control(set, EPOLL_CTL_ADD, a, EPOLLIN, 3));
  show_events("added", set, 16, 1000);
  close(set), close(a), close(b);
}

static void nested(void) {
  const int outer = epoll_create1(0), inner = epoll_create1(0), a = bound(5207), b = udp(0);
  SHOW(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 7));
  SHOW(control(inner, EPOLL_CTL_ADD, a, EPOLLIN, 1));
  struct pollfd p = {inner, POLLIN, 0};
  SHOW(poll(&p, 1, 0));
  show_events("outer", outer, 16, 0);
  SHOW(sendto(b, "x", 1, 0, LOCAL(5207)));
  SHOW(poll(&p, 1, 1000));
  printf("  events %x\n", p.revents);
  fd_set in;
  FD_ZERO(&in);
  FD_SET(inner, &in);
  SHOW(select(inner + 1, &in, NULL, NULL, NULL));
  show_events("outer", outer, 16, 1000);
  show_events("inner", inner, 16, 1000);
  const int copy = dup(inner);
  show_events("duplicate", copy, 16, 1000);
  close(inner);
  show_events("duplicate", copy, 16, 1000);
  close(copy);
  show_events("outer without inner", outer, 16, 0);
  close(outer), close(a), close(b);
}

static volatile sig_atomic_t handled;
static int handler_socket = -1;
static void handle(int number) {
  handled = number;
  if (handler_socket >= 0) sendto(handler_socket, "from handler", 12, 0, LOCAL(5208));
}

static void on_alarm(int flags, long microseconds, long interval) {
  struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval timer = {{0, interval}, {0, microseconds}};
  handled = 0;
  setitimer(ITIMER_REAL, &timer, NULL);
}

static void signals(void) {
  const int a = bound(5208), set = epoll_create1(0);
  struct pollfd p = {a, POLLIN, 0};
  on_alarm(0, 20000, 0);
  SHOW(recv(a, room, 1, 0));
  on_alarm(0, 20000, 0);
  SHOW(poll(&p, 1, -1));
  on_alarm(SA_RESTART, 20000, 0);
  SHOW(poll(&p, 1, -1));
  fd_set in;
  FD_ZERO(&in);
  FD_SET(a, &in);
  on_alarm(0, 20000, 0);
  SHOW(select(a + 1, &in, NULL, NULL, NULL));
  control(set, EPOLL_CTL_ADD, a, EPOLLIN, 1);
  on_alarm(SA_RESTART, 20000, 0);
  show_events("interrupted", set, 4, -1);
  const struct timeval long_time = {10, 0}, none = {0, 0};
  setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof long_time);
  on_alarm(SA_RESTART, 20000, 0);
  SHOW(recv(a, room, 1, 0));
  setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none);
  handler_socket = udp(0);
  on_alarm(SA_RESTART, 20000, 0);
  SHOW(recv(a, room, sizeof room, 0));
  on_alarm(0, 20000, 0);
  SHOW(recv(a, room, sizeof room, 0) == 12 || errno == EINTR);
  drop_all(a);
  handler_socket = -1;
  sigset_t blocked, empty;
  sigemptyset(&empty);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGALRM);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  on_alarm(0, 1000, 0);
  SHOW(poll(&p, 1, 50));
  SHOW(handled);
  SHOW(ppoll(&p, 1, NULL, &empty));
  SHOW(handled);
  on_alarm(0, 1000, 0);
  SHOW(epoll_pwait(set, (struct epoll_event[1]){0}, 1, -1, &empty));
  on_alarm(0, 1000, 0);
  FD_SET(a, &in);
  SHOW(pselect(a + 1, &in, NULL, NULL, NULL, &empty));
  sigprocmask(SIG_UNBLOCK, &blocked, NULL);
  begin();
  close(a), close(set);
}

/* What another thread does while the first waits; it begins once that one is likely to sleep, or before: both must do.
 */
static struct { int set, socket, other; } shared;

static void* adds(void* nothing) {
  usleep(20000);
  control(shared.set, EPOLL_CTL_ADD, shared.socket, EPOLLIN, 5);
  return nothing;
}
static void* closes(void* nothing) {
  usleep(20000);
  close(shared.socket);
  const int again = udp(0);
  const struct sockaddr_in where = at("127.0.0.1", 5211);
  printf("rebound %d\n", bind(again, (const struct sockaddr*)&where, sizeof where));
  const struct sockaddr_in to = at("127.0.0.1", 5212);
  sendto(again, "x", 1, 0, (const struct sockaddr*)&to, sizeof to);
  return nothing;
}
static void* reads_and_sends(void* nothing) {
  usleep(20000);
  drop_all(shared.socket);
  const struct sockaddr_in to = at("127.0.0.1", 5213);
  sendto(shared.other, "x", 1, 0, (const struct sockaddr*)&to, sizeof to);
  return nothing;
}

static void* sends(void* nothing) {
  usleep(20000);
  const struct sockaddr_in to = at("127.0.0.1", 5213);
  sendto(shared.other, "x", 1, 0, (const struct sockaddr*)&to, sizeof to);
  return nothing;
}

static void meanwhile(void* (*what)(void*), const char* name) {
  pthread_t thread;
  pthread_create(&thread, NULL, what, NULL);
  show_events(name, shared.set, 8, -1);
  pthread_join(thread, NULL);
}

static void threads(void) {
  shared.set = epoll_create1(0);
  const int always = bound(5210), sender = udp(0);
  shared.socket = bound(5209);
  sendto(sender, "x", 1, 0, LOCAL(5209));
  control(shared.set, EPOLL_CTL_ADD, always, EPOLLIN, 4);
  meanwhile(adds, "added while waiting");
  control(shared.set, EPOLL_CTL_DEL, shared.socket, 0, 0);
  shared.socket = bound(5211);
  const int woken = bound(5212);
  control(shared.set, EPOLL_CTL_ADD, shared.socket, EPOLLIN, 6);
  control(shared.set, EPOLL_CTL_ADD, woken, EPOLLIN, 7);
  meanwhile(closes, "closed while waiting");
  control(shared.set, EPOLL_CTL_DEL, woken, 0, 0);
  shared.socket = bound(5213);
  shared.other = sender;
  control(shared.set, EPOLL_CTL_ADD, shared.socket, EPOLLIN | EPOLLET, 8);
  sendto(sender, "x", 1, 0, LOCAL(5213));
  show_events("edge", shared.set, 8, 1000);
  meanwhile(reads_and_sends, "next edge while waiting");
  meanwhile(sends, "one more, though the last isn't read");
}

int main(void) {
  begin();
  close(0);
  open("/dev/null", O_RDWR);
  polls();
  selects();
  levels();
  edges();
  arrivals();
  one_shots();
  nested();
  signals();
  threads();
  return 0;
}
