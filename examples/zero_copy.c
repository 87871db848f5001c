// Without a copy: borrows frames from the link's memory, changes the text in place, and sends the same frames back.
//
//   zero_copy 'tap:fast0?address=10.9.0.2/24' 7     answers every datagram in capital letters

#include <ctype.h>
#include <errno.h>
#include <fastudp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { burst_size = 32 };

static volatile sig_atomic_t stopped;

static void stop(int number) {
  (void)number;
  stopped = 1;
}

static int fail(const char* what, int error, const char* why) {
  fprintf(stderr, "zero_copy: %s: %s\n", what, why[0] ? why : strerror(-error));
  return 1;
}

static void raise_case(unsigned char* text, size_t size) {
  for (size_t i = 0; i < size; ++i) text[i] = (unsigned char)toupper(text[i]);
}

// Submitting gives the frames away; what was not taken is still ours and goes back by fastudp_release.
static int answer(fastudp_socket* socket, fastudp_msg* messages, int count) {
  for (int i = 0; i < count; ++i) raise_case(messages[i].data, messages[i].size);
  int sent = fastudp_submit(socket, messages, (size_t)count, 0);
  fastudp_release(messages, (size_t)count);
  return sent > 0 ? sent : 0;
}

static int serve(fastudp_socket* socket) {
  fastudp_msg messages[burst_size];
  unsigned long long answered = 0;
  while (!stopped) {
    // The wait is limited so that a signal that arrives just before it is noticed too.
    int ready = fastudp_socket_wait(socket, FASTUDP_READABLE, 200000000);
    if (ready < 0 && ready != -EINTR) return ready;

    memset(messages, 0, sizeof messages);
    int borrowed = fastudp_borrow(socket, messages, burst_size, FASTUDP_DONTWAIT);
    if (borrowed > 0) answered += (unsigned)answer(socket, messages, borrowed);
  }
  printf("zero_copy: answered %llu datagrams without copying one\n", answered);
  return 0;
}

static int run(fastudp_stack* stack, int port) {
  char why[200] = "";
  fastudp_socket* socket;
  int error = fastudp_socket_open(stack, FASTUDP_IPV4, &socket);
  if (error < 0) return fail("socket", error, why);

  fastudp_addr any = {.family = FASTUDP_IPV4, .port = (uint16_t)port};
  error = fastudp_socket_bind(socket, &any);
  if (error == 0) {
    printf("zero_copy: ready on port %d\n", port);
    fflush(stdout);
    error = serve(socket);
  }
  fastudp_socket_why(socket, why, sizeof why);
  fastudp_socket_close(socket);
  return error < 0 ? fail("stopped", error, why) : 0;
}

int main(int count, char** arguments) {
  int port = count == 3 ? atoi(arguments[2]) : 0;
  if (port < 1 || port > 65535) {
    fprintf(stderr, "usage: zero_copy URI PORT, for instance: zero_copy 'tap:fast0?address=10.9.0.2/24' 7\n");
    return 2;
  }
  struct sigaction action = {.sa_handler = stop};  // no SA_RESTART: waiting returns -EINTR
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);

  char why[200] = "";
  fastudp_stack* stack;
  int error = fastudp_stack_open(&stack, arguments[1], NULL, why, sizeof why);
  if (error < 0) return fail(arguments[1], error, why);
  int status = run(stack, port);
  fastudp_stack_close(stack);
  return status;
}
