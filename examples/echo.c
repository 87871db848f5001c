// The smallest useful server: answers every datagram with itself, on any link.
//
//   echo 'tap:fast0?address=10.9.0.2/24' 7

#include <errno.h>
#include <fastudp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { burst_size = 32, largest = 65507 };

static char room[burst_size][largest];
static volatile sig_atomic_t stopped;

static void stop(int number) {
  (void)number;
  stopped = 1;
}

static int fail(const char* what, int64_t error, const char* why) {
  fprintf(stderr, "echo: %s: %s\n", what, why[0] ? why : strerror((int)-error));
  return 1;
}

static void stop_on_signals(void) {
  struct sigaction action = {.sa_handler = stop};  // no SA_RESTART: a blocked receive returns -EINTR
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

// The messages are as receiving left them: data, size and peer say what to send and where to.
static void answer(fastudp_socket* socket, const fastudp_msg* messages, int count) {
  while (count > 0) {
    int sent = fastudp_send(socket, messages, (size_t)count, 0);
    if (sent <= 0) sent = 1;  // this one can't be answered; the others can
    messages += sent;
    count -= sent;
  }
}

static int64_t serve(fastudp_socket* socket) {
  fastudp_msg messages[burst_size] = {{0}};
  while (!stopped) {
    for (int i = 0; i < burst_size; ++i) {
      messages[i].data = room[i];
      messages[i].size = largest;
    }
    int received = fastudp_recv(socket, messages, burst_size, 0);
    if (received > 0) answer(socket, messages, received);
    if (received < 0 && received != -EAGAIN && received != -EINTR) return received;
  }
  return 0;
}

// What the fast path did, and why it dropped what it dropped.
static void report(fastudp_stack* stack) {
  fastudp_stack_stats stats = {.size = sizeof stats};
  uint64_t drops[64] = {0};
  fastudp_stack_get_stats(stack, &stats);
  fastudp_stack_get_drops(stack, drops, 64);
  printf("echo: %llu datagrams in, %llu out, in %llu and %llu frames\n", (unsigned long long)stats.rx_datagrams,
         (unsigned long long)stats.tx_datagrams, (unsigned long long)stats.rx_frames,
         (unsigned long long)stats.tx_frames);
  for (size_t i = 0; i < 64 && fastudp_drop_name(i); ++i) {
    if (drops[i]) printf("echo: dropped %llu: %s\n", (unsigned long long)drops[i], fastudp_drop_text(i));
  }
}

static int run(fastudp_stack* stack, const char* uri, int port) {
  char why[200] = "";
  fastudp_socket* socket;
  int error = fastudp_socket_open(stack, FASTUDP_IPV4, &socket);
  if (error < 0) return fail(uri, error, why);

  fastudp_addr any = {.family = FASTUDP_IPV4, .port = (uint16_t)port};
  error = fastudp_socket_bind(socket, &any);
  if (error < 0) {
    fastudp_socket_why(socket, why, sizeof why);
    fastudp_socket_close(socket);
    return fail("bind", error, why);
  }
  // A signal that arrives just before a receive blocks is noticed at the timeout.
  struct timeval timeout = {.tv_usec = 200000};
  fastudp_socket_set_option(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);

  printf("echo: ready on port %d of %s\n", port, uri);
  fflush(stdout);
  int64_t served = serve(socket);
  report(stack);
  fastudp_socket_close(socket);
  return served < 0 ? fail("receive", served, why) : 0;
}

int main(int count, char** arguments) {
  int port = count == 3 ? atoi(arguments[2]) : 0;
  if (port < 1 || port > 65535) {
    fprintf(stderr, "usage: echo URI PORT, for instance: echo 'tap:fast0?address=10.9.0.2/24' 7\n");
    return 2;
  }
  stop_on_signals();
  char why[200] = "";
  fastudp_stack* stack;
  int error = fastudp_stack_open(&stack, arguments[1], NULL, why, sizeof why);
  if (error < 0) return fail(arguments[1], error, why);
  int status = run(stack, arguments[1], port);
  fastudp_stack_close(stack);
  return status;
}
