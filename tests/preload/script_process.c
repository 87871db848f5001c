/* Processes: fork, exec, descriptors that are inherited or passed on, handlers that interrupt or leave a call. */
#include "script.h"

extern char** environ;
static char room[100];
static char number[16];

static void finish(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  printf("child: %d\n", status);
}

static void forks(void) {
  const int a = bound(5301), b = udp(0);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    SHOW(recv(a, room, sizeof room, 0));
    SHOW(sendto(a, "to myself", 9, 0, LOCAL(5301)));
    SHOW(recv(a, room, sizeof room, 0));
    SHOW(socket(AF_INET, SOCK_DGRAM, 0) >= 0);
    SHOW(bind(udp(0), LOCAL(5301)));
    SHOW(close(a));
    _exit(0);
  }
  SHOW(sendto(b, "to the child", 12, 0, LOCAL(5301)));
  finish(child);
  SHOW(sendto(b, "to the parent", 13, 0, LOCAL(5301)));
  SHOW(recv(a, room, sizeof room, 0));
  close(a);
  SHOW(bind(udp(0), LOCAL(5301)));
  close(b);
}

/* Run again by exec: argument "heir NUMBER". */
static void heir(int fd) {
  SHOW(recv(fd, room, sizeof room, 0));
  show_data(room, 7);
  SHOW(sendto(fd, "back", 4, 0, LOCAL(5303)));
  struct sockaddr_in name;
  socklen_t size = sizeof name;
  SHOW(getsockname(fd, (struct sockaddr*)&name, &size));
  show_address(&name, size);
}

static void execs(int how) {
  const int a = bound(5302), b = bound(5303);
  sendto(b, "inherit", 7, 0, LOCAL(5302));
  snprintf(number, sizeof number, "%d", a);
  char* const arguments[] = {"script", "heir", number, NULL};
  fcntl(b, F_SETFD, FD_CLOEXEC);
  fflush(stdout);
  const pid_t child = how == 4 ? vfork() : fork();
  if (child == 0) {
    switch (how) {
      case 0:
        execl("/proc/self/exe", "script", "heir", number, (char*)NULL);
        break;
      case 1:
        execle("/proc/self/exe", "script", "heir", number, (char*)NULL, environ);
        break;
      case 2:
        execvp("/proc/self/exe", arguments);
        break;
      case 3:
        fexecve(open("/proc/self/exe", O_RDONLY), arguments, environ);
        break;
      default:
        close(b);
        execve("/proc/self/exe", arguments, environ);
    }
    _exit(1);
  }
  finish(child);
  SHOW(recv(b, room, sizeof room, 0));
  SHOW(sendto(b, "mine", 4, 0, LOCAL(5302)));
  SHOW(recv(a, room, sizeof room, 0));
  close(a), close(b);
}

static void spawns(void) {
  const int a = bound(5302), b = bound(5303);
  sendto(b, "inherit", 7, 0, LOCAL(5302));
  char* const arguments[] = {"script", "heir", "0", NULL};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, a, 0);
  fflush(stdout);
  pid_t child;
  SHOW(posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ));
  finish(child);
  SHOW(recv(b, room, sizeof room, 0));
  close(a), close(b);
}

/* As inetd starts a server: the socket is its standard input and output. */
static void standard_input(void) {
  const int a = bound(5302), b = bound(5303);
  sendto(b, "inherit", 7, 0, LOCAL(5302));
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    dup2(a, 0);
    for (int fd = 3; fd < 1000; ++fd) close(fd);
    execl("/proc/self/exe", "script", "heir", "0", (char*)NULL);
    _exit(1);
  }
  finish(child);
  SHOW(recv(b, room, sizeof room, 0));
  close(a), close(b);
}

static void passes(void) {
  int pair[2];
  socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
  const int a = bound(5304), b = udp(0);
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {0};
  struct iovec data = {"fd", 2};
  struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct cmsghdr* c = CMSG_FIRSTHDR(&m);
  *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(c), &a, sizeof a);
  SHOW(sendmsg(pair[0], &m, 0));
  close(a);
  data.iov_base = room;
  SHOW(recvmsg(pair[1], &m, 0));
  int got;
  memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof got);
  SHOW(sendto(b, "passed", 6, 0, LOCAL(5304)));
  SHOW(recv(got, room, sizeof room, 0));
  struct pollfd p = {got, POLLOUT, 0};
  SHOW(poll(&p, 1, 0));
  SHOW(close(got));
  SHOW(bind(udp(0), LOCAL(5304)));
  close(pair[0]), close(pair[1]), close(b);
}

static sigjmp_buf back;
static volatile int interrupted_socket;
static void jump(int signal) {
  (void)signal;
  siglongjmp(back, 1);
}
static void use(int signal) {
  (void)signal;
  char byte;
  sendto(interrupted_socket, "nested", 6, 0, LOCAL(5306));
  recv(interrupted_socket, &byte, 1, MSG_DONTWAIT);
  close(dup(interrupted_socket));
  sendto(interrupted_socket, "nested", 6, 0, LOCAL(5306));
}

static void ring(void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval timer = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

static void jumps(void) {
  const int a = bound(5305), b = udp(0);
  for (int round = 0; round < 3; ++round) {
    if (sigsetjmp(back, 1) == 0) {
      ring(jump);
      recv(a, room, sizeof room, 0);
      printf("not reached\n");
    }
    SHOW(sendto(b, "after", 5, 0, LOCAL(5305)));
    SHOW(recv(a, room, sizeof room, 0));
  }
  interrupted_socket = bound(5306);
  ring(use);
  SHOW(recv(interrupted_socket, room, sizeof room, 0));
  SHOW(recv(interrupted_socket, room, sizeof room, MSG_DONTWAIT));
  begin();
  SHOW(close(a));
  SHOW(bind(udp(0), LOCAL(5305)));
}

/* An epoll set that parent and child share, with a socket that they share. */
static void shared_sets(void) {
  const int set = epoll_create1(0), a = bound(5307), b = udp(0);
  struct epoll_event e = {.events = EPOLLIN};
  epoll_ctl(set, EPOLL_CTL_ADD, a, &e);
  show_events("before", set, 1, 0);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    show_events("child", set, 1, 5000);
    SHOW(recv(a, room, sizeof room, 0));
    SHOW(sendto(b, "y", 1, 0, LOCAL(5307)));
    _exit(0);
  }
  SHOW(sendto(b, "x", 1, 0, LOCAL(5307)));
  int status;
  waitpid(child, &status, 0);
  show_events("parent", set, 1, 5000);
  SHOW(recv(a, room, sizeof room, 0));
  show_events("after", set, 1, 0);
  close(a), close(b), close(set);
}

int main(int count, char** arguments) {
  begin();
  if (count == 3) {
    heir(atoi(arguments[2]));
    return 0;
  }
  forks();
  for (int how = 0; how < 5; ++how) execs(how);
  spawns();
  standard_input();
  passes();
  shared_sets();
  jumps();
  return 0;
}
