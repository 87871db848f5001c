// Two hosts on an in-memory hub, for the tests of the C API.

#include "hosts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

fastudp_addr at(const char* text) {
  fastudp_addr address;
  assert_int_equal(fastudp_addr_parse(text, &address), 0);
  return address;
}

fastudp_addr client_address(void) { return at("10.0.0.1:5000"); }
fastudp_addr server_address(void) { return at("10.0.0.2:7"); }

void assert_address(const fastudp_addr* address, const char* text) {
  char seen[32] = "";
  assert_in_range(fastudp_addr_format(address, seen, sizeof seen), 1, sizeof seen);
  assert_string_equal(seen, text);
}

const char* fresh_uri(const char* rest) {
  static char uri[4][160];
  static unsigned count;
  char* text = uri[++count % 4];
  snprintf(text, sizeof uri[0], "mem:hub%u%s", count, rest);
  return text;
}

fastudp_stack* open_stack(const char* uri, int hand_clock) {
  fastudp_stack_config config = {.size = sizeof config, .seed = 1, .hand_clock = (uint32_t)hand_clock};
  fastudp_stack* stack = NULL;
  char why[200] = "";
  const int status = fastudp_stack_open(&stack, uri, &config, why, sizeof why);
  if (status != 0) fail_msg("%s: %s: %s", uri, strerror(-status), why);
  return stack;
}

fastudp_socket* open_socket(fastudp_stack* stack, const char* bound) {
  fastudp_socket* socket = NULL;
  assert_int_equal(fastudp_socket_open(stack, FASTUDP_IPV4, &socket), 0);
  if (bound) {
    const fastudp_addr address = at(bound);
    assert_int_equal(fastudp_socket_bind(socket, &address), 0);
  }
  return socket;
}

void learn(fastudp_stack* stack, const char* address, fastudp_stack* neighbour) {
  fastudp_stack_info info = {.size = sizeof info};
  const fastudp_addr key = at(address);
  assert_int_equal(fastudp_stack_get_info(neighbour, &info), 0);
  assert_int_equal(fastudp_stack_add_neighbour(stack, &key, info.mac), 0);
}

static fastudp_stack* open_on(const struct hosts* hosts, const char* address, int hand_clock) {
  char uri[100];
  snprintf(uri, sizeof uri, "%s?address=%s&announce=off", hosts->hub, address);
  return open_stack(uri, hand_clock);
}

static int open_hosts(void** state, int hand_clock) {
  struct hosts* hosts = calloc(1, sizeof *hosts);
  snprintf(hosts->hub, sizeof hosts->hub, "%s", fresh_uri(""));
  hosts->client.stack = open_on(hosts, "10.0.0.1/24", hand_clock);
  hosts->server.stack = open_on(hosts, "10.0.0.2/24", hand_clock);
  learn(hosts->client.stack, "10.0.0.2", hosts->server.stack);
  learn(hosts->server.stack, "10.0.0.1", hosts->client.stack);
  hosts->client.socket = open_socket(hosts->client.stack, ":5000");
  hosts->server.socket = open_socket(hosts->server.stack, ":7");
  *state = hosts;
  return 0;
}

int open_still_hosts(void** state) { return open_hosts(state, 1); }
int open_live_hosts(void** state) { return open_hosts(state, 0); }

// What a test has left open shows here.
int close_hosts(void** state) {
  struct hosts* hosts = *state;
  int left = fastudp_socket_close(hosts->client.socket);
  left |= fastudp_socket_close(hosts->server.socket);
  left |= fastudp_stack_close(hosts->client.stack);
  left |= fastudp_stack_close(hosts->server.stack);
  free(hosts);
  return left;
}

void deliver(fastudp_stack* stack) {
  int taken;
  while ((taken = fastudp_stack_poll(stack, 0)) > 0) continue;
  assert_int_equal(taken, 0);
}

void send_text(struct hosts* hosts, const char* text) {
  const fastudp_addr to = server_address();
  const int64_t size = (int64_t)strlen(text);
  assert_int_equal(fastudp_sendto(hosts->client.socket, text, (size_t)size, 0, &to), size);
  deliver(hosts->server.stack);
}

void expect_text(struct hosts* hosts, const char* text) {
  char seen[2000];
  const int64_t size = fastudp_recvfrom(hosts->server.socket, seen, sizeof seen, FASTUDP_DONTWAIT, NULL);
  assert_int_equal(size, strlen(text));
  assert_memory_equal(seen, text, (size_t)size);
}

void expect_nothing(fastudp_socket* socket) {
  char seen[1];
  assert_int_equal(fastudp_recvfrom(socket, seen, sizeof seen, FASTUDP_DONTWAIT, NULL), -EAGAIN);
}

void set_receive_timeout(fastudp_socket* socket, int64_t nanoseconds) {
  const struct timeval value = {nanoseconds / 1000000000, nanoseconds % 1000000000 / 1000};
  assert_int_equal(fastudp_socket_set_option(socket, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value), 0);
}

int64_t monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

fastudp_stack_stats stats_of(fastudp_stack* stack) {
  fastudp_stack_stats stats = {.size = sizeof stats};
  assert_int_equal(fastudp_stack_get_stats(stack, &stats), 0);
  return stats;
}
