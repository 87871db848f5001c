// Many datagrams per call: a source that sends in bursts, and a sink that receives in bursts and says what came.
//
//   burst sink   'tap:fast0?address=10.9.0.2/24' 9 1000000
//   burst source 'tap:fast1?address=10.9.1.2/24&gateway=10.9.1.1' 10.9.0.2:9 1000000 64

#include <errno.h>
#include <fastudp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum { burst_size = 64, largest = 1472 };

static char room[burst_size][largest];

static int fail(const char* what, int error, const char* why) {
  fprintf(stderr, "burst: %s: %s\n", what, why[0] ? why : strerror(-error));
  return 1;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void prepare(fastudp_msg* messages, uint32_t size) {
  for (int i = 0; i < burst_size; ++i) {
    messages[i].data = room[i];
    messages[i].size = size;
  }
}

static int send_all(fastudp_socket* socket, long count, uint32_t size) {
  fastudp_msg messages[burst_size] = {{0}};
  prepare(messages, size);
  double start = now();
  for (long sent = 0; sent < count;) {
    size_t wanted = count - sent < burst_size ? (size_t)(count - sent) : burst_size;
    int n = fastudp_send(socket, messages, wanted, 0);
    if (n < 0) return n;
    sent += n;
  }
  printf("burst: sent %ld datagrams of %u bytes, %.0f per second\n", count, size, (double)count / (now() - start));
  return 0;
}

// A datagram is parked while its next hop's MAC address is asked for; closing the stack would drop it.
static void wait_until_all_left(fastudp_stack* stack) {
  fastudp_stack_stats stats = {.size = sizeof stats};
  while (fastudp_stack_get_stats(stack, &stats) == 0 && stats.parked > 0) {
    fastudp_stack_wait(stack, fastudp_stack_deadline(stack));
    fastudp_stack_poll(stack, 0);
  }
}

// Ends when all have come, or when none has for some seconds: UDP may lose some.
static int receive_all(fastudp_socket* socket, long count) {
  fastudp_msg messages[burst_size] = {{0}};
  struct timeval timeout = {.tv_sec = 5};
  fastudp_socket_set_option(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  printf("burst: ready\n");
  fflush(stdout);

  long received = 0, bytes = 0;
  double start = 0, end = 0;
  while (received < count) {
    prepare(messages, largest);
    int n = fastudp_recv(socket, messages, burst_size, 0);
    if (n == -EAGAIN && received > 0) break;
    if (n < 0 && n != -EAGAIN) return n;
    if (n > 0) end = now();
    if (received == 0) start = end;
    for (int i = 0; i < n; ++i, ++received) bytes += (long)messages[i].length;
  }
  printf("burst: received %ld of %ld datagrams, %ld bytes, in %.3f s\n", received, count, bytes, end - start);
  return 0;
}

static int run(fastudp_stack* stack, int source, const char* where, long count, long size) {
  char why[200] = "", text[40];
  fastudp_socket* socket;
  fastudp_addr address;
  snprintf(text, sizeof text, "%s%s", source ? "" : ":", where);
  int error = fastudp_addr_parse(text, &address);
  if (error < 0) return fail(where, error, "not an address and port");
  error = fastudp_socket_open(stack, FASTUDP_IPV4, &socket);
  if (error < 0) return fail("socket", error, why);

  error = source ? fastudp_socket_connect(socket, &address) : fastudp_socket_bind(socket, &address);
  if (error == 0) error = source ? send_all(socket, count, (uint32_t)size) : receive_all(socket, count);
  if (source) wait_until_all_left(stack);
  fastudp_socket_why(socket, why, sizeof why);
  fastudp_socket_close(socket);
  return error < 0 ? fail(where, error, why) : 0;
}

int main(int count, char** arguments) {
  int source = count == 6 && strcmp(arguments[1], "source") == 0;
  int sink = count == 5 && strcmp(arguments[1], "sink") == 0;
  long datagrams = source || sink ? atol(arguments[4]) : 0, size = source ? atol(arguments[5]) : 0;
  if (datagrams < 1 || size < 0 || size > largest) {
    fprintf(stderr, "usage: burst sink URI PORT COUNT | burst source URI ADDRESS:PORT COUNT SIZE\n");
    return 2;
  }
  char why[200] = "";
  fastudp_stack* stack;
  int error = fastudp_stack_open(&stack, arguments[2], NULL, why, sizeof why);
  if (error < 0) return fail(arguments[2], error, why);
  int status = run(stack, source, arguments[3], datagrams, size);
  fastudp_stack_close(stack);
  return status;
}
