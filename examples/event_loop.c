// A stack inside the program's own event loop, beside other descriptors: sends each line of standard input to a peer
// and prints the answers. Ends when the input has ended and every line was answered.
//
//   event_loop 'tap:fast0?address=10.9.0.2/24' 10.9.0.1:7

#include <errno.h>
#include <fastudp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct loop {
  fastudp_stack* stack;
  fastudp_socket* socket;
  int epoll, open, unanswered;
};

static int fail(const char* what, int64_t error, const char* why) {
  fprintf(stderr, "event_loop: %s: %s\n", what, why[0] ? why : strerror((int)-error));
  return 1;
}

static void watch(struct loop* loop, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event);
}

// What was typed may hold several lines; each becomes a datagram.
static int64_t read_lines(struct loop* loop) {
  char text[1400];
  ssize_t size = read(STDIN_FILENO, text, sizeof text);
  if (size <= 0) {
    loop->open = 0;
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
  }
  for (char *line = text, *end = text + (size > 0 ? size : 0); line < end;) {
    char* stop = memchr(line, '\n', (size_t)(end - line));
    if (!stop) stop = end;
    int64_t sent = fastudp_sendto(loop->socket, line, (size_t)(stop - line), FASTUDP_DONTWAIT, NULL);
    if (sent < 0) return sent;
    ++loop->unanswered;
    line = stop + 1;
  }
  return 0;
}

static int64_t print_answers(struct loop* loop) {
  char text[1472];
  int64_t size;
  while ((size = fastudp_recvfrom(loop->socket, text, sizeof text, FASTUDP_DONTWAIT, NULL)) >= 0) {
    printf("%.*s\n", (int)size, text);
    fflush(stdout);
    --loop->unanswered;
  }
  return size == -EAGAIN ? 0 : size;
}

// How long epoll may sleep: until the stack has something to do by the clock, rounded up to milliseconds.
static int patience(fastudp_stack* stack) {
  int64_t deadline = fastudp_stack_deadline(stack);
  return deadline > 3600000000000 ? 3600000 : (int)((deadline + 999999) / 1000000);
}

// The stack's descriptor promises nothing until polling has found nothing: before that, epoll only looks.
static int64_t run(struct loop* loop) {
  int64_t status = 0;
  int found = 0;
  while (status == 0 && (loop->open || loop->unanswered > 0)) {
    struct epoll_event events[2];
    int count = epoll_wait(loop->epoll, events, 2, found > 0 ? 0 : patience(loop->stack));
    for (int i = 0; i < count && status == 0; ++i) {
      if (events[i].data.fd == STDIN_FILENO) status = read_lines(loop);
    }
    found = fastudp_stack_poll(loop->stack, 0);
    if (status == 0) status = print_answers(loop);
  }
  return status;
}

int main(int count, char** arguments) {
  fastudp_addr peer;
  if (count != 3 || fastudp_addr_parse(arguments[2], &peer) < 0) {
    fprintf(stderr,
            "usage: event_loop URI ADDRESS:PORT, for instance: event_loop 'tap:fast0?address=10.9.0.2/24' "
            "10.9.0.1:7\n");
    return 2;
  }
  struct loop loop = {.epoll = epoll_create1(0), .open = 1};
  char why[200] = "";
  int64_t error = fastudp_stack_open(&loop.stack, arguments[1], NULL, why, sizeof why);
  if (error < 0) return fail(arguments[1], error, why);

  error = fastudp_socket_open(loop.stack, FASTUDP_IPV4, &loop.socket);
  if (error == 0) error = fastudp_socket_connect(loop.socket, &peer);
  if (error == 0) {
    watch(&loop, STDIN_FILENO);
    watch(&loop, fastudp_stack_fd(loop.stack));
    error = run(&loop);
    fastudp_socket_why(loop.socket, why, sizeof why);
  }
  fastudp_socket_close(loop.socket);
  fastudp_stack_close(loop.stack);
  close(loop.epoll);
  return error < 0 ? fail(arguments[2], error, why) : 0;
}
