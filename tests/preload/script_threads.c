/* Threads: cancelled while they wait, and sockets that others close, shut or connect meanwhile. */
#include "script.h"

static char room[100];

enum how { by_recv, by_read, by_recvmsg, by_recvmmsg, by_poll, by_ppoll, by_select, by_epoll, by_nested_epoll, ways };
static const char* const names[] = {"recv",  "read",   "recvmsg", "recvmmsg",    "poll",
                                    "ppoll", "select", "epoll",   "nested epoll"};
static int a, set, outer;

static void wait_once(enum how how) {
  char data[100];
  struct iovec part = {data, sizeof data};
  struct mmsghdr message = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
  struct pollfd p = {a, POLLIN, 0};
  struct epoll_event e;
  fd_set in;
  FD_ZERO(&in);
  FD_SET(a, &in);
  switch (how) {
    case by_recv:
      recv(a, data, sizeof data, 0);
      break;
    case by_read:
      (void)!read(a, data, sizeof data);
      break;
    case by_recvmsg:
      recvmsg(a, &message.msg_hdr, 0);
      break;
    case by_recvmmsg:
      recvmmsg(a, &message, 1, 0, NULL);
      break;
    case by_poll:
      poll(&p, 1, -1);
      break;
    case by_ppoll:
      ppoll(&p, 1, NULL, NULL);
      break;
    case by_select:
      select(a + 1, &in, NULL, NULL, NULL);
      break;
    case by_epoll:
      epoll_wait(set, &e, 1, -1);
      break;
    default:
      epoll_wait(outer, &e, 1, -1);
  }
}

static void cleaned(void* what) { printf("  cleaned up after %s\n", (const char*)what); }
static void* waits(void* how) {
  pthread_cleanup_push(cleaned, (void*)names[(long)how]);
  for (;;) wait_once((enum how)(long)how);
  pthread_cleanup_pop(0);
  return NULL;
}
static void* receives(void* nothing) {
  char data[100];
  const long got = recv(a, data, sizeof data, 0);
  return (void*)got;
}
static volatile bool went_on;
static void* is_deaf_to_it(void* how) {
  int before;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  wait_once((enum how)(long)how);
  went_on = true;
  pthread_setcancelstate(before, &before);
  pthread_testcancel();
  return NULL;
}

static void end(pthread_t thread) {
  void* result;
  pthread_cancel(thread);
  pthread_join(thread, &result);
  printf("  cancelled %d\n", result == PTHREAD_CANCELED);
}

static void still_works(int b) {
  struct pollfd p = {a, POLLIN, 0};
  SHOW(sendto(b, "x", 1, 0, LOCAL(5401)));
  SHOW(poll(&p, 1, 5000));
  SHOW(recv(a, room, sizeof room, 0));
  SHOW(recv(a, room, sizeof room, MSG_DONTWAIT));
}

static void cancels(void) {
  a = bound(5401);
  const int b = udp(0);
  struct epoll_event e = {.events = EPOLLIN};
  set = epoll_create1(0), outer = epoll_create1(0);
  epoll_ctl(set, EPOLL_CTL_ADD, a, &e);
  epoll_ctl(outer, EPOLL_CTL_ADD, set, &e);
  for (long how = 0; how < ways; ++how) {
    pthread_t thread, other;
    printf("%s\n", names[how]);
    pthread_create(&thread, NULL, waits, (void*)how);
    usleep(20000);
    end(thread);
    still_works(b);
    /* It is told before it gets there, or on its way. */
    for (int i = 0; i < 20; ++i) {
      pthread_create(&thread, NULL, waits, (void*)how);
      if (i % 2) usleep((unsigned)i * 10);
      end(thread);
    }
    still_works(b);
    /* Of two, the first and the second. */
    for (int which = 0; which < 2; ++which) {
      pthread_create(&thread, NULL, which ? receives : waits, (void*)how);
      usleep(20000);
      pthread_create(&other, NULL, which ? waits : receives, (void*)how);
      usleep(20000);
      end(which ? other : thread);
      SHOW(sendto(b, "xyz", 3, 0, LOCAL(5401)));
      void* got;
      pthread_join(which ? thread : other, &got);
      printf("  the other got %ld\n", (long)got);
    }
    went_on = false;
    pthread_create(&thread, NULL, is_deaf_to_it, (void*)how);
    usleep(20000);
    pthread_cancel(thread);
    usleep(20000);
    SHOW(sendto(b, "x", 1, 0, LOCAL(5401)));
    end(thread);
    printf("  went on %d\n", went_on);
    while (recv(a, room, sizeof room, MSG_DONTWAIT) >= 0) {
    }
    still_works(b);
  }
  SHOW(close(a));
  SHOW(bind(udp(0), LOCAL(5401)));
  close(b), close(set), close(outer);
}

/* Data is there all the time, so that it never waits. */
static void* never_waits(void* peer) {
  for (;;) {
    char data[100];
    sendto((int)(long)peer, "x", 1, 0, LOCAL(5402));
    recv(a, data, sizeof data, 0);
  }
}
static void cancels_the_busy(void) {
  a = bound(5402);
  const int b = udp(0);
  pthread_t thread;
  pthread_create(&thread, NULL, never_waits, (void*)(long)b);
  usleep(20000);
  end(thread);
  while (recv(a, room, sizeof room, MSG_DONTWAIT) >= 0) {
  }
  SHOW(sendto(b, "x", 1, 0, LOCAL(5402)));
  SHOW(recv(a, room, sizeof room, 0));
  SHOW(close(a));
  SHOW(bind(udp(0), LOCAL(5402)));
  close(b);
}

static void* receives_and_tells(void* nothing) {
  static char told[100];
  char data[100];
  errno = 0;
  const long got = recv(a, data, sizeof data, 0);
  snprintf(told, sizeof told, "received %ld errno %d", got, errno);
  return told;
}
static void* polls_and_tells(void* nothing) {
  static char told[100];
  struct pollfd p = {a, POLLIN | POLLRDHUP, 0};
  const int n = poll(&p, 1, 5000);
  snprintf(told, sizeof told, "polled %d events %x", n, p.revents);
  return told;
}
static void show_result(pthread_t thread) {
  void* told;
  pthread_join(thread, &told);
  printf("  %s\n", (const char*)told);
}

/* A receiver holds its socket: what comes to the closed one is its, and then the port is free. */
static void others_close(void) {
  const int b = udp(0);
  a = bound(5403);
  pthread_t thread;
  pthread_create(&thread, NULL, receives_and_tells, NULL);
  usleep(20000);
  SHOW(close(a));
  SHOW(bind(udp(0), LOCAL(5403)));
  SHOW(sendto(b, "to the closed", 13, 0, LOCAL(5403)));
  show_result(thread);
  SHOW(bind(udp(0), LOCAL(5403)));
  close(b);
}

static void others_shut(void) {
  const int b = bound(5405);
  for (int is_connected = 0; is_connected < 2; ++is_connected) {
    for (int how = SHUT_RD; how <= SHUT_RDWR; how += 2) {
      a = is_connected ? connected(5404, 5405) : bound(5404);
      pthread_t thread, other;
      pthread_create(&thread, NULL, receives_and_tells, NULL);
      usleep(20000);
      SHOW(shutdown(a, how));
      show_result(thread);
      if (!is_connected && how == SHUT_RD) SHOW(sendto(b, "x", 1, 0, LOCAL(5404)));
      pthread_create(&other, NULL, polls_and_tells, NULL);
      show_result(other);
      SHOW(close(a));
    }
  }
  close(b);
}

static void others_connect(void) {
  const int stranger = bound(5407), peer = bound(5408);
  a = bound(5406);
  pthread_t thread;
  pthread_create(&thread, NULL, receives_and_tells, NULL);
  usleep(20000);
  SHOW(connect(a, LOCAL(5408)));
  SHOW(sendto(stranger, "stranger", 8, 0, LOCAL(5406)));
  SHOW(sendto(peer, "peer", 4, 0, LOCAL(5406)));
  show_result(thread);
  SHOW(recv(a, room, sizeof room, MSG_DONTWAIT));
  close(a), close(stranger), close(peer);
}

int main(void) {
  begin();
  others_close();
  others_shut();
  others_connect();
  cancels_the_busy();
  cancels();
  return 0;
}
