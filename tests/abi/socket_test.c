// Sockets through the C API: opening, names, connecting, shutting down, and the explanation of what was refused.

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "hosts.h"

static int bind_to(fastudp_socket* socket, const char* text) {
  const fastudp_addr address = at(text);
  return fastudp_socket_bind(socket, &address);
}

static int connect_to(fastudp_socket* socket, const char* text) {
  const fastudp_addr address = at(text);
  return fastudp_socket_connect(socket, &address);
}

static void assert_local(fastudp_socket* socket, const char* text) {
  fastudp_addr address;
  assert_int_equal(fastudp_socket_local_addr(socket, &address), 0);
  assert_address(&address, text);
}

static void only_ip_is_spoken(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* socket = NULL;
  assert_int_equal(fastudp_socket_open(hosts->client.stack, 7, &socket), -EAFNOSUPPORT);
  assert_int_equal(fastudp_socket_open(hosts->client.stack, FASTUDP_UNSPEC, &socket), -EAFNOSUPPORT);
  assert_int_equal(fastudp_socket_open(hosts->client.stack, -1, &socket), -EAFNOSUPPORT);
  assert_int_equal(stats_of(hosts->client.stack).sockets, 1);
  assert_int_equal(fastudp_socket_close(NULL), 0);
}

static void binding_gives_the_name(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* socket = open_socket(hosts->client.stack, NULL);
  assert_local(socket, "0.0.0.0:0");
  assert_int_equal(bind_to(socket, "10.0.0.1:80"), 0);
  assert_local(socket, "10.0.0.1:80");
  assert_int_equal(bind_to(socket, "10.0.0.1:81"), -EINVAL);
  assert_local(socket, "10.0.0.1:80");
  assert_int_equal(fastudp_socket_close(socket), 0);
}

static void binding_refuses_what_is_not_ours(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* socket = open_socket(hosts->client.stack, NULL);
  assert_int_equal(bind_to(socket, "10.0.0.2:80"), -EADDRNOTAVAIL);
  const fastudp_addr other = {.family = 6, .port = 80};
  assert_int_equal(fastudp_socket_bind(socket, &other), -EAFNOSUPPORT);
  assert_local(socket, "0.0.0.0:0");
  assert_int_equal(bind_to(socket, "10.0.0.255:80"), 0);  // the subnet's broadcast address
  assert_int_equal(fastudp_socket_close(socket), 0);
}

static void ephemeral_ports_are_linux_s(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* sockets[100];
  uint16_t ports[100];
  for (int i = 0; i < 100; ++i) {
    sockets[i] = open_socket(hosts->client.stack, ":0");
    fastudp_addr local;
    assert_int_equal(fastudp_socket_local_addr(sockets[i], &local), 0);
    assert_in_range(local.port, 32768, 60999);
    ports[i] = local.port;
    for (int j = 0; j < i; ++j) assert_int_not_equal(ports[i], ports[j]);
  }
  for (int i = 0; i < 100; ++i) assert_int_equal(fastudp_socket_close(sockets[i]), 0);
}

static void set_flag(fastudp_socket* socket, int name) {
  const int one = 1;
  assert_int_equal(fastudp_socket_set_option(socket, SOL_SOCKET, name, &one, sizeof one), 0);
}

// Binds one socket and then another, both with `option` (0: none); returns what the second bind said.
static int bind_two(fastudp_stack* stack, const char* first, const char* second, int option) {
  fastudp_socket *one = open_socket(stack, NULL), *two = open_socket(stack, NULL);
  if (option) set_flag(one, option);
  if (option) set_flag(two, option);
  assert_int_equal(bind_to(one, first), 0);
  const int status = bind_to(two, second);
  assert_int_equal(fastudp_socket_close(one), 0);
  assert_int_equal(fastudp_socket_close(two), 0);
  return status;
}

static void a_taken_port_is_refused_by_linux_s_rules(void** state) {
  struct hosts* hosts = *state;
  fastudp_stack* stack = hosts->client.stack;
  const fastudp_addr second = at("10.0.0.3");
  assert_int_equal(fastudp_stack_add_address(stack, &second, 24), 0);
  assert_int_equal(bind_two(stack, "10.0.0.1:80", "10.0.0.1:80", 0), -EADDRINUSE);
  assert_int_equal(bind_two(stack, "10.0.0.1:80", ":80", 0), -EADDRINUSE);
  assert_int_equal(bind_two(stack, ":80", "10.0.0.1:80", 0), -EADDRINUSE);
  assert_int_equal(bind_two(stack, "10.0.0.1:80", "10.0.0.3:80", 0), 0);
  assert_int_equal(bind_two(stack, "10.0.0.1:80", "10.0.0.1:81", 0), 0);
  assert_int_equal(bind_two(stack, ":80", ":80", SO_REUSEADDR), 0);
  assert_int_equal(bind_two(stack, ":80", ":80", SO_REUSEPORT), 0);
}

static void a_closed_socket_s_port_is_free(void** state) {
  struct hosts* hosts = *state;
  for (int i = 0; i < 3; ++i) assert_int_equal(fastudp_socket_close(open_socket(hosts->client.stack, ":80")), 0);
}

static void connecting_names_both_ends(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* socket = open_socket(hosts->client.stack, NULL);
  fastudp_addr peer, local;
  assert_int_equal(fastudp_socket_peer_addr(socket, &peer), -ENOTCONN);
  assert_int_equal(connect_to(socket, "10.0.0.2:7"), 0);
  assert_int_equal(fastudp_socket_peer_addr(socket, &peer), 0);
  assert_address(&peer, "10.0.0.2:7");
  assert_int_equal(fastudp_socket_local_addr(socket, &local), 0);
  assert_in_range(local.port, 32768, 60999);
  assert_memory_equal(local.bytes, "\x0a\0\0\1", 4);

  assert_int_equal(connect_to(socket, "10.0.0.9:9"), 0);  // may be done again
  assert_int_equal(fastudp_socket_peer_addr(socket, &peer), 0);
  assert_address(&peer, "10.0.0.9:9");
  assert_int_equal(fastudp_socket_close(socket), 0);
}

static void disconnecting_forgets_the_peer(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr nobody = {.family = FASTUDP_UNSPEC};
  fastudp_addr peer;
  assert_int_equal(connect_to(hosts->client.socket, "10.0.0.2:7"), 0);
  assert_int_equal(fastudp_socket_connect(hosts->client.socket, &nobody), 0);
  assert_int_equal(fastudp_socket_peer_addr(hosts->client.socket, &peer), -ENOTCONN);
  assert_local(hosts->client.socket, "0.0.0.0:5000");  // the port that bind gave stays
  assert_int_equal(fastudp_sendto(hosts->client.socket, "x", 1, 0, NULL), -EDESTADDRREQ);
}

static void connecting_fails_as_on_linux(void** state) {
  struct hosts* hosts = *state;
  fastudp_addr peer;
  const fastudp_addr other = {.family = 6, .port = 80};
  assert_int_equal(connect_to(hosts->client.socket, "192.0.2.1:7"), -ENETUNREACH);
  assert_int_equal(connect_to(hosts->client.socket, "10.0.0.255:7"), -EACCES);
  assert_int_equal(connect_to(hosts->client.socket, "255.255.255.255:7"), -EACCES);
  assert_int_equal(fastudp_socket_connect(hosts->client.socket, &other), -EAFNOSUPPORT);
  assert_int_equal(fastudp_socket_peer_addr(hosts->client.socket, &peer), -ENOTCONN);
  set_flag(hosts->client.socket, SO_BROADCAST);
  assert_int_equal(connect_to(hosts->client.socket, "10.0.0.255:7"), 0);
}

static void a_connected_socket_hears_its_peer_alone(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* stranger = open_socket(hosts->client.stack, ":6000");
  const fastudp_addr to = server_address();
  send_text(hosts, "queued before");
  assert_int_equal(connect_to(hosts->server.socket, "10.0.0.1:6000"), 0);
  send_text(hosts, "not the peer");
  assert_int_equal(fastudp_sendto(stranger, "the peer", 8, 0, &to), 8);
  deliver(hosts->server.stack);
  expect_text(hosts, "queued before");
  expect_text(hosts, "the peer");
  expect_nothing(hosts->server.socket);
  assert_int_equal(fastudp_socket_close(stranger), 0);
}

static void shutting_down_needs_a_peer_and_a_direction(void** state) {
  struct hosts* hosts = *state;
  assert_int_equal(fastudp_socket_shutdown(hosts->client.socket, 3), -EINVAL);
  assert_int_equal(fastudp_socket_shutdown(hosts->client.socket, -1), -EINVAL);
  assert_int_equal(fastudp_socket_shutdown(hosts->client.socket, FASTUDP_SHUT_RD), -ENOTCONN);
}

static void after_shutting_down_reading_there_is_an_end(void** state) {
  struct hosts* hosts = *state;
  fastudp_msg message = {0};
  char text[10];
  assert_int_equal(connect_to(hosts->server.socket, "10.0.0.1:5000"), 0);
  send_text(hosts, "queued");
  assert_int_equal(fastudp_socket_shutdown(hosts->server.socket, FASTUDP_SHUT_RD), 0);
  expect_text(hosts, "queued");
  assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, sizeof text, 0, NULL), 0);
  assert_int_equal(fastudp_recv(hosts->server.socket, &message, 1, 0), 0);
  assert_int_equal(fastudp_borrow(hosts->server.socket, &message, 1, 0), 0);
  assert_int_equal(fastudp_sendto(hosts->server.socket, "x", 1, 0, NULL), 1);
}

static void after_shutting_down_writing_the_pipe_is_broken(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr to = server_address();
  assert_int_equal(connect_to(hosts->client.socket, "10.0.0.2:7"), 0);
  assert_int_equal(fastudp_socket_shutdown(hosts->client.socket, FASTUDP_SHUT_WR), 0);
  assert_int_equal(fastudp_sendto(hosts->client.socket, "x", 1, 0, NULL), -EPIPE);
  assert_int_equal(fastudp_sendto(hosts->client.socket, "x", 1, 0, &to), -EPIPE);
  expect_nothing(hosts->client.socket);
  assert_int_equal(fastudp_socket_poll(hosts->client.socket) & FASTUDP_HANGUP, 0);
  assert_int_equal(fastudp_socket_shutdown(hosts->client.socket, FASTUDP_SHUT_RD), 0);
  assert_int_equal(fastudp_socket_poll(hosts->client.socket) & FASTUDP_HANGUP, FASTUDP_HANGUP);
}

static void a_refused_call_is_explained(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* socket = open_socket(hosts->client.stack, NULL);
  char why[200] = "untouched";
  assert_int_equal(fastudp_socket_why(socket, why, sizeof why), 0);
  assert_string_equal(why, "");

  assert_int_equal(bind_to(socket, ":5000"), -EADDRINUSE);
  int length = fastudp_socket_why(socket, why, sizeof why);
  assert_int_equal(length, strlen(why));
  assert_non_null(strstr(why, "5000"));

  assert_int_equal(bind_to(socket, "10.0.0.2:80"), -EADDRNOTAVAIL);
  length = fastudp_socket_why(socket, why, sizeof why);
  assert_int_equal(length, strlen(why));
  assert_non_null(strstr(why, "10.0.0.2"));

  char cut[8] = "#######";
  assert_int_equal(fastudp_socket_why(socket, cut, 5), length);
  assert_int_equal(strncmp(cut, why, 4), 0);
  assert_int_equal(cut[4], '\0');
  assert_int_equal(cut[5], '#');
  assert_int_equal(fastudp_socket_close(socket), 0);
}

static void null_pointers_are_refused(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket *socket = hosts->client.socket, *opened;
  fastudp_addr address = at("10.0.0.1:1");
  char text[10];
  assert_int_equal(fastudp_socket_open(NULL, FASTUDP_IPV4, &opened), -EFAULT);
  assert_int_equal(fastudp_socket_open(hosts->client.stack, FASTUDP_IPV4, NULL), -EFAULT);
  assert_int_equal(fastudp_socket_bind(NULL, &address), -EFAULT);
  assert_int_equal(fastudp_socket_bind(socket, NULL), -EFAULT);
  assert_int_equal(fastudp_socket_connect(NULL, &address), -EFAULT);
  assert_int_equal(fastudp_socket_connect(socket, NULL), -EFAULT);
  assert_int_equal(fastudp_socket_local_addr(NULL, &address), -EFAULT);
  assert_int_equal(fastudp_socket_local_addr(socket, NULL), -EFAULT);
  assert_int_equal(fastudp_socket_peer_addr(NULL, &address), -EFAULT);
  assert_int_equal(fastudp_socket_peer_addr(socket, NULL), -EFAULT);
  assert_int_equal(fastudp_socket_shutdown(NULL, FASTUDP_SHUT_RD), -EFAULT);
  assert_int_equal(fastudp_socket_poll(NULL), -EFAULT);
  assert_int_equal(fastudp_socket_wait(NULL, FASTUDP_READABLE, 0), -EFAULT);
  assert_int_equal(fastudp_socket_fd(NULL), -EFAULT);
  assert_int_equal(fastudp_socket_why(NULL, text, sizeof text), -EFAULT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      still_test(only_ip_is_spoken),
      still_test(binding_gives_the_name),
      still_test(binding_refuses_what_is_not_ours),
      still_test(ephemeral_ports_are_linux_s),
      still_test(a_taken_port_is_refused_by_linux_s_rules),
      still_test(a_closed_socket_s_port_is_free),
      still_test(connecting_names_both_ends),
      still_test(disconnecting_forgets_the_peer),
      still_test(connecting_fails_as_on_linux),
      still_test(a_connected_socket_hears_its_peer_alone),
      still_test(shutting_down_needs_a_peer_and_a_direction),
      still_test(after_shutting_down_reading_there_is_an_end),
      still_test(after_shutting_down_writing_the_pipe_is_broken),
      still_test(a_refused_call_is_explained),
      still_test(null_pointers_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
