/* Sets of many things: pipes, timers, TCP and UDP, shared by threads, duplicates and processes. */
#include "script.h"

#include <sys/timerfd.h>

static char room[100];

static void drop_all(int fd) {
  while (recv(fd, room, sizeof room, MSG_DONTWAIT) >= 0) {
  }
}
static int control(int set, int operation, int fd, unsigned events, unsigned long data) {
  struct epoll_event e = {.events = events, .data.u64 = data};
  return epoll_ctl(set, operation, fd, &e);
}

/* Six kinds, all ready; each comes to its turn, whatever the room. */
static int pipes[2], timer, listener, client, served, sockets[3];
static void make_many(void) {
  (void)!pipe(pipes);
  timer = timerfd_create(CLOCK_MONOTONIC, 0);
  listener = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  bind(listener, LOCAL(5501));
  listen(listener, 5);
  client = socket(AF_INET, SOCK_STREAM, 0);
  connect(client, LOCAL(5501));
  served = accept(listener, NULL, NULL);
  for (int i = 0; i < 3; ++i) sockets[i] = bound(5502 + i);
}
static void make_ready(void) {
  const struct itimerspec now = {{0, 0}, {0, 1}};
  (void)!write(pipes[1], "x", 1);
  timerfd_settime(timer, 0, &now, NULL);
  (void)!send(client, "x", 1, 0);
  const int b = udp(0);
  for (int i = 0; i < 3; ++i) sendto(b, "x", 1, 0, LOCAL(5502 + i));
  close(b);
}

static void mixed(void) {
  const int set = epoll_create1(0);
  make_many();
  const int all[] = {pipes[0], timer, served, sockets[0], sockets[1], sockets[2]};
  for (int i = 0; i < 6; ++i) SHOW(control(set, EPOLL_CTL_ADD, all[i], EPOLLIN, (unsigned long)i));
  show_events("none", set, 16, 0);
  make_ready();
  struct pollfd p[6];
  for (int i = 0; i < 6; ++i) p[i] = (struct pollfd){all[i], POLLIN, 0};
  while (poll(p, 6, 1000) != 6) {
  }
  for (int i = 0; i < 6; ++i) printf("  poll %x\n", p[i].revents);
  show_events("all", set, 16, 1000);
  for (int most = 1; most <= 7; ++most) {
    int times[6] = {0}, too_many = 0;
    for (int round = 0; round < 60; ++round) {
      struct epoll_event events[8];
      const int n = epoll_wait(set, events, most, 0);
      too_many += n > most;
      for (int i = 0; i < n; ++i) ++times[events[i].data.u64];
    }
    printf("  room for %d: more %d, starved", most, too_many);
    for (int i = 0; i < 6; ++i) printf(" %d", times[i] < 5);
    putchar('\n');
  }
  fd_set in;
  FD_ZERO(&in);
  for (int i = 0; i < 6; ++i) FD_SET(all[i], &in);
  SHOW(select(64, &in, NULL, NULL, NULL));
  for (int i = 0; i < 6; ++i) drop_all(all[i]);
  (void)!read(pipes[0], room, 1);
  (void)!read(timer, room, 8);
  show_events("none", set, 16, 0);
  SHOW(shutdown(client, SHUT_WR));
  show_events("hung up", set, 16, 1000);
  for (int i = 0; i < 6; ++i) close(all[i]);
  close(pipes[1]), close(listener), close(client), close(set);
}

static void kinds_of_events(void) {
  const int set = epoll_create1(0), a = bound(5505), b = udp(0);
  SHOW(control(set, EPOLL_CTL_ADD, a, EPOLLPRI | EPOLLRDHUP, 1));
  SHOW(sendto(b, "x", 1, 0, LOCAL(5505)));
  show_events("neither urgent nor hung up", set, 4, 0);
  SHOW(control(set, EPOLL_CTL_MOD, a,
               EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLRDNORM | EPOLLRDBAND | EPOLLMSG | EPOLLWRBAND, 2));
  show_events("normal", set, 4, 1000);
  struct pollfd p = {a, POLLPRI | POLLRDHUP, 0};
  SHOW(poll(&p, 1, 0));
  shutdown(a, SHUT_RD);
  show_events("shut", set, 4, 1000);
  SHOW(poll(&p, 1, 0));
  printf("  events %x\n", p.revents);
  SHOW(control(set, EPOLL_CTL_MOD, a, 0, 3));
  shutdown(a, SHUT_RDWR);
  show_events("hung up", set, 4, 1000);
  SHOW(control(set, EPOLL_CTL_MOD, a, EPOLLONESHOT | EPOLLIN, 4));
  show_events("once", set, 4, 1000);
  show_events("once", set, 4, 0);
  close(a), close(b), close(set);
}

static void exclusive(void) {
  const int one = epoll_create1(0), two = epoll_create1(0), a = bound(5506), b = udp(0);
  SHOW(control(one, EPOLL_CTL_ADD, a, EPOLLIN | EPOLLEXCLUSIVE, 1));
  SHOW(control(two, EPOLL_CTL_ADD, a, EPOLLIN | EPOLLEXCLUSIVE, 2));
  SHOW(control(two, EPOLL_CTL_MOD, a, EPOLLIN, 2));
  SHOW(control(two, EPOLL_CTL_MOD, a, EPOLLIN | EPOLLEXCLUSIVE, 2));
  SHOW(control(one, EPOLL_CTL_ADD, two, EPOLLIN | EPOLLEXCLUSIVE, 3));
  SHOW(control(two, EPOLL_CTL_ADD, b, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 3));
  SHOW(control(two, EPOLL_CTL_ADD, b, EPOLLIN | EPOLLEXCLUSIVE | EPOLLPRI, 3));
  SHOW(sendto(b, "x", 1, 0, LOCAL(5506)));
  show_events("one", one, 4, 1000);
  show_events("two", two, 4, 1000);
  drop_all(a);
  show_events("one", one, 4, 0);
  show_events("two", two, 4, 0);
  SHOW(epoll_ctl(one, EPOLL_CTL_DEL, a, NULL));
  close(one), close(two), close(a), close(b);
}

/* Many threads wait for a set, or for sets of their own; each datagram is received once, and nobody sleeps for good. */
enum { threads = 6, datagrams = 300 };
static int shared_set, shared_socket, own_sets;
static unsigned shared_events;
static _Atomic int taken;
static void* takes(void* nothing) {
  char data[100];
  int set = shared_set;
  if (own_sets) {
    set = epoll_create1(0);
    control(set, EPOLL_CTL_ADD, shared_socket, shared_events, 1);
  }
  while (taken < datagrams) {
    struct epoll_event e;
    if (epoll_wait(set, &e, 1, -1) != 1) break;
    while (recv(shared_socket, data, sizeof data, MSG_DONTWAIT) > 0) {
      if (++taken == datagrams) sendto(shared_socket, "", 0, 0, LOCAL(5507));
    }
    if (taken >= datagrams) sendto(shared_socket, "end", 3, 0, LOCAL(5507));
    if (shared_events & EPOLLONESHOT) control(set, EPOLL_CTL_MOD, shared_socket, shared_events, 1);
  }
  if (own_sets) close(set);
  return nothing;
}
static void many_threads(const char* name, unsigned events, int sets) {
  pthread_t all[threads];
  shared_socket = bound(5507), shared_set = epoll_create1(0), own_sets = sets, shared_events = events, taken = 0;
  if (!sets) control(shared_set, EPOLL_CTL_ADD, shared_socket, events, 1);
  for (int i = 0; i < threads; ++i) pthread_create(&all[i], NULL, takes, NULL);
  const int b = udp(0);
  for (int i = 0; i < datagrams; ++i) {
    sendto(b, "x", 1, 0, LOCAL(5507));
    while (taken < i - 50) usleep(100);
  }
  for (int i = 0; i < threads; ++i) pthread_join(all[i], NULL);
  printf("%s: all came %d\n", name, taken >= datagrams);
  close(b), close(shared_socket), close(shared_set);
}

/* A duplicate is the same set. */
static void duplicates(void) {
  const int set = epoll_create1(0), a = bound(5508), b = udp(0), copy = dup(set),
            other = fcntl(set, F_DUPFD_CLOEXEC, 30);
  SHOW(control(copy, EPOLL_CTL_ADD, a, EPOLLIN, 1));
  SHOW(control(set, EPOLL_CTL_ADD, a, EPOLLIN, 1));
  SHOW(sendto(b, "x", 1, 0, LOCAL(5508)));
  show_events("set", set, 4, 1000);
  SHOW(close(set));
  show_events("copy", copy, 4, 1000);
  const int same = dup2(a, 40);
  SHOW(control(copy, EPOLL_CTL_ADD, same, EPOLLIN, 2));
  show_events("two numbers of a socket", copy, 4, 1000);
  SHOW(epoll_ctl(other, EPOLL_CTL_DEL, a, NULL));
  show_events("one number of a socket", other, 4, 1000);
  close(same), close(copy), close(other), close(a), close(b);
}

static void nested_kinds(void) {
  const int outer = epoll_create1(0), inner = epoll_create1(0), a = bound(5510), b = udp(0), other = eventfd(0, 0);
  SHOW(control(inner, EPOLL_CTL_ADD, a, EPOLLIN, 1));
  SHOW(control(inner, EPOLL_CTL_ADD, other, EPOLLIN, 2));
  SHOW(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLONESHOT, 3));
  SHOW(control(inner, EPOLL_CTL_ADD, outer, EPOLLIN, 4));
  SHOW(sendto(b, "x", 1, 0, LOCAL(5510)));
  show_events("once", outer, 4, 1000);
  show_events("once", outer, 4, 0);
  SHOW(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN, 5));
  show_events("again", outer, 4, 1000);
  drop_all(a);
  show_events("empty", outer, 4, 0);
  eventfd_write(other, 1);
  show_events("the other", outer, 4, 1000);
  show_events("the other", inner, 4, 1000);
  close(outer), close(inner), close(a), close(b), close(other);
}

/* A signal that is pending, and that the call alone lets in, ends it, whatever else is there. */
static volatile sig_atomic_t handled;
static void handle(int number) { handled += number == SIGUSR1; }
static void masks(void) {
  const int set = epoll_create1(0), a = bound(5511), b = udp(0), other = eventfd(0, 0);
  struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  control(set, EPOLL_CTL_ADD, a, EPOLLIN, 1);
  control(set, EPOLL_CTL_ADD, other, EPOLLIN, 2);
  struct pollfd p[] = {{a, POLLIN, 0}, {other, POLLIN, 0}};
  struct epoll_event e;
  const struct timespec long_time = {10, 0}, none = {0, 0};
  fd_set in;
#define WITH_SIGNAL(call) \
  do {                    \
    raise(SIGUSR1);       \
    SHOW(call);           \
    SHOW(handled);        \
  } while (0)
  WITH_SIGNAL(ppoll(p, 2, NULL, &before));
  WITH_SIGNAL(ppoll(p, 2, &long_time, &before));
  WITH_SIGNAL(epoll_pwait(set, &e, 1, -1, &before));
  WITH_SIGNAL(epoll_pwait2(set, &e, 1, &long_time, &before));
  FD_ZERO(&in);
  FD_SET(a, &in);
  WITH_SIGNAL(pselect(64, &in, NULL, NULL, &long_time, &before));
  raise(SIGUSR1);
  SHOW(poll(p, 2, 10));
  SHOW(epoll_wait(set, &e, 1, 10));
  SHOW(handled);
  SHOW(ppoll(p, 2, &none, &before));
  SHOW(handled);
  WITH_SIGNAL(epoll_pwait(set, &e, 1, 0, &before));
  WITH_SIGNAL(pselect(64, &in, NULL, NULL, &none, &before));
  sigprocmask(SIG_SETMASK, &before, NULL);
  SHOW(handled);
  close(a), close(b), close(set), close(other);
}

static void* adds_and_removes(void* nothing) {
  for (int i = 0; i < 200; ++i) {
    control(shared_set, EPOLL_CTL_ADD, shared_socket, EPOLLIN, 2);
    control(shared_set, EPOLL_CTL_MOD, shared_socket, EPOLLIN | EPOLLET, 3);
    control(shared_set, EPOLL_CTL_DEL, shared_socket, 0, 0);
  }
  control(shared_set, EPOLL_CTL_ADD, shared_socket, EPOLLIN, 9);
  sendto(shared_socket, "x", 1, 0, LOCAL(5513));
  return nothing;
}
static void changes(void) {
  pthread_t all[3];
  shared_set = epoll_create1(0);
  const int quiet = bound(5512);
  shared_socket = bound(5513);
  control(shared_set, EPOLL_CTL_ADD, quiet, EPOLLIN, 1);
  for (int i = 0; i < 3; ++i) pthread_create(&all[i], NULL, adds_and_removes, NULL);
  for (int i = 0; i < 3; ++i) pthread_join(all[i], NULL);
  control(shared_set, EPOLL_CTL_ADD, shared_socket, EPOLLIN, 9);
  control(shared_set, EPOLL_CTL_MOD, shared_socket, EPOLLIN, 9);
  show_events("after all changes", shared_set, 4, 5000);
  close(shared_set), close(quiet), close(shared_socket);
}

int main(void) {
  begin();
  mixed();
  kinds_of_events();
  exclusive();
  many_threads("level", EPOLLIN, 0);
  many_threads("edge", EPOLLIN | EPOLLET, 0);
  many_threads("one shot", EPOLLIN | EPOLLONESHOT, 0);
  many_threads("exclusive", EPOLLIN | EPOLLEXCLUSIVE, 1);
  many_threads("edges of several sets", EPOLLIN | EPOLLET, 1);
  duplicates();
  nested_kinds();
  masks();
  changes();
  return 0;
}
