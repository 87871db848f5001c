// Sockets with a half in the kernel: host: and loop:, sockets that a program brings along, hand-over, waiting for many
// things, forks. The kernel's own sockets are the other side, over loopback.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hosts.h"

static size_t reason_number(const char* name) {
  size_t i = 0;
  while (fastudp_kernel_reason_name(i) && strcmp(fastudp_kernel_reason_name(i), name) != 0) ++i;
  assert_non_null(fastudp_kernel_reason_name(i));
  return i;
}

static uint64_t by_kernel(fastudp_stack* stack, const char* name) {
  uint64_t counts[64] = {0};
  assert_true(fastudp_stack_get_kernel_reasons(stack, counts, 64) > 0);
  return counts[reason_number(name)];
}

static int kernel_socket(uint16_t* port) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof where;
  assert_int_equal(bind(fd, (struct sockaddr*)&where, sizeof where), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr*)&where, &size), 0);
  *port = ntohs(where.sin_port);
  return fd;
}

static void send_from_kernel(int fd, const char* text, uint16_t port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr*)&to, sizeof to), strlen(text));
}

static fastudp_addr address_of(fastudp_socket* socket) {
  fastudp_addr out;
  assert_int_equal(fastudp_socket_local_addr(socket, &out), 0);
  return out;
}

static fastudp_addr loopback(uint16_t port) {
  fastudp_addr out = at("127.0.0.1");
  out.port = port;
  return out;
}

static void expect(fastudp_socket* socket, const char* text, int flags) {
  char got[64] = "";
  assert_int_equal(fastudp_recvfrom(socket, got, sizeof got, flags, NULL), strlen(text));
  assert_memory_equal(got, text, strlen(text));
}

static void reasons_have_names_and_texts(void** state) {
  (void)state;
  size_t count = 0;
  while (fastudp_kernel_reason_name(count)) assert_non_null(fastudp_kernel_reason_text(count++));
  assert_true(count > 10);
  assert_null(fastudp_kernel_reason_text(count));
}

static void on_host_everything_is_the_kernels_and_counted(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("host:", 0);
  fastudp_socket *server = open_socket(stack, "127.0.0.1:0"), *client = open_socket(stack, NULL);
  assert_int_equal(fastudp_socket_is_fast(server), 0);
  const fastudp_addr there = address_of(server);
  assert_true(there.port != 0);
  assert_int_equal(fastudp_sendto(client, "hello", 5, 0, &there), 5);
  expect(server, "hello", 0);
  const fastudp_stack_stats stats = stats_of(stack);
  assert_int_equal(stats.rx_kernel + stats.tx_kernel, 2);
  assert_int_equal(stats.rx_fast + stats.tx_fast, 0);
  assert_int_equal(stats.sockets_kernel, 2);
  assert_int_equal(stats.rx_datagrams, 1);
  assert_int_equal(by_kernel(stack, "link"), 4);
  fastudp_socket_close(server);
  fastudp_socket_close(client);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void on_host_a_taken_port_is_the_kernels_answer(void** state) {
  (void)state;
  uint16_t port;
  const int other = kernel_socket(&port);
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket* socket = open_socket(stack, NULL);
  const fastudp_addr taken = loopback(port);
  assert_int_equal(fastudp_socket_bind(socket, &taken), -EADDRINUSE);
  close(other);
  assert_int_equal(fastudp_socket_bind(socket, &taken), 0);
  fastudp_socket_close(socket);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void on_loop_sockets_of_one_process_are_fast_and_others_reach_them_all_the_same(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket *server = open_socket(stack, "127.0.0.1:0"), *client = open_socket(stack, NULL);
  const fastudp_addr there = address_of(server);
  assert_int_equal(fastudp_sendto(client, "fast", 4, 0, &there), 4);
  expect(server, "fast", 0);
  assert_int_equal(stats_of(stack).rx_fast, 1);
  assert_int_equal(stats_of(stack).tx_fast, 1);
  uint16_t port;
  const int other = kernel_socket(&port);
  send_from_kernel(other, "stranger", there.port);
  expect(server, "stranger", 0);
  const fastudp_addr outside = loopback(port);
  assert_int_equal(fastudp_sendto(server, "back", 4, 0, &outside), 4);
  char text[8];
  assert_int_equal(recv(other, text, sizeof text, 0), 4);
  assert_int_equal(stats_of(stack).rx_kernel, 1);
  assert_int_equal(stats_of(stack).tx_kernel, 1);
  assert_int_equal(by_kernel(stack, "loopback"), 2);
  close(other);
  fastudp_socket_close(server);
  fastudp_socket_close(client);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void a_closed_port_refuses_a_connected_socket_once(void** state) {
  (void)state;
  uint16_t port;
  close(kernel_socket(&port));
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket* socket = open_socket(stack, NULL);
  const fastudp_addr nobody = loopback(port);
  assert_int_equal(fastudp_socket_connect(socket, &nobody), 0);
  assert_int_equal(fastudp_sendto(socket, "x", 1, 0, NULL), 1);
  char text[8];
  assert_int_equal(fastudp_recvfrom(socket, text, sizeof text, 0, NULL), -ECONNREFUSED);
  assert_int_equal(fastudp_recvfrom(socket, text, sizeof text, FASTUDP_DONTWAIT, NULL), -EAGAIN);
  fastudp_socket_close(socket);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void a_socket_of_the_programs_keeps_its_place(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  uint16_t port;
  const int fd = kernel_socket(&port);
  send_from_kernel(fd, "before", port);
  fastudp_socket *adopted, *client = open_socket(stack, NULL);
  assert_int_equal(fastudp_socket_adopt(stack, fd, &adopted), 0);
  assert_int_equal(fastudp_socket_kernel_fd(adopted), fd);
  assert_int_equal(address_of(adopted).port, port);
  expect(adopted, "before", FASTUDP_DONTWAIT);
  const fastudp_addr there = loopback(port);
  assert_int_equal(fastudp_sendto(client, "after", 5, 0, &there), 5);
  expect(adopted, "after", FASTUDP_DONTWAIT);
  assert_int_equal(stats_of(stack).rx_fast, 1);
  fastudp_socket_close(adopted);
  assert_int_equal(send(fd, "", 0, 0), -1);
  assert_int_equal(errno, EDESTADDRREQ);  // still open, and still the program's
  close(fd);
  fastudp_socket_close(client);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

// On addresses of our own the kernel doesn't know the peer, and gives the companion what anybody sends.
static void a_connected_socket_hears_no_stranger_through_the_kernel(void** state) {
  struct hosts* hosts = *state;
  uint16_t port, strange;
  const int fd = socket(AF_INET, SOCK_DGRAM, 0), stranger = kernel_socket(&strange);
  fastudp_socket* adopted;
  assert_int_equal(fastudp_socket_adopt(hosts->server.stack, fd, &adopted), 0);
  const fastudp_addr anywhere = at("0.0.0.0:0"), client = client_address();
  assert_int_equal(fastudp_socket_bind(adopted, &anywhere), 0);
  port = address_of(adopted).port;
  assert_int_equal(fastudp_socket_connect(adopted, &client), 0);
  send_from_kernel(stranger, "strange", port);
  send_from_kernel(stranger, "a longer one", port);
  char got[16];
  assert_int_equal(fastudp_recvfrom(adopted, got, sizeof got, FASTUDP_DONTWAIT | FASTUDP_PEEK, NULL), -EAGAIN);
  send_from_kernel(stranger, "strange", port);
  assert_int_equal(fastudp_recvfrom(adopted, got, sizeof got, FASTUDP_DONTWAIT, NULL), -EAGAIN);
  fastudp_addr there = server_address();
  there.port = port;
  assert_int_equal(fastudp_sendto(hosts->client.socket, "a friend", 8, 0, &there), 8);
  expect(adopted, "a friend", FASTUDP_PEEK);
  expect(adopted, "a friend", 0);
  fastudp_socket_close(adopted);
  close(fd);
  close(stranger);
}

static void what_is_no_udp_socket_is_not_adopted(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket* made;
  int pipes[2];
  assert_int_equal(pipe(pipes), 0);
  assert_int_equal(fastudp_socket_adopt(stack, pipes[0], &made), -ENOTSOCK);
  assert_int_equal(fastudp_socket_adopt(stack, -1, &made), -EBADF);
  const int tcp = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(fastudp_socket_adopt(stack, tcp, &made), -EPROTONOSUPPORT);
  close(tcp);
  close(pipes[0]);
  close(pipes[1]);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void handed_over_it_receives_first_what_came_the_fast_way(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket *server = open_socket(stack, "127.0.0.1:0"), *client = open_socket(stack, NULL);
  const fastudp_addr there = address_of(server);
  assert_int_equal(fastudp_sendto(client, "one", 3, 0, &there), 3);
  assert_int_equal(fastudp_socket_hand_over(server, reason_number("option")), 0);
  assert_int_equal(fastudp_socket_is_fast(server), 0);
  assert_int_equal(fastudp_sendto(client, "two", 3, 0, &there), 3);
  expect(server, "one", 0);
  expect(server, "two", 0);
  assert_int_equal(stats_of(stack).tx_kernel, 1);
  assert_int_equal(address_of(server).port, there.port);
  assert_int_equal(fastudp_socket_count(server, 3, 4, reason_number("nested")), 0);
  assert_int_equal(by_kernel(stack, "nested"), 7);
  assert_int_equal(fastudp_socket_count(server, 1, 1, 1000), -EINVAL);
  fastudp_socket_close(server);
  fastudp_socket_close(client);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void a_strict_stack_hands_nothing_over(void** state) {
  (void)state;
  fastudp_stack* stack;
  const fastudp_stack_config config = {.size = sizeof config, .strict = 1};
  assert_int_equal(fastudp_stack_open(&stack, "loop:", &config, NULL, 0), 0);
  fastudp_socket* socket = open_socket(stack, "127.0.0.1:0");
  assert_int_equal(fastudp_socket_hand_over(socket, 0), -EOPNOTSUPP);
  const int on = 1;
  assert_int_equal(fastudp_socket_set_option(socket, IPPROTO_IP, IP_CHECKSUM, &on, sizeof on), -EOPNOTSUPP);
  assert_int_equal(fastudp_socket_is_fast(socket), 1);
  fastudp_socket_close(socket);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void an_option_that_only_the_kernel_honours_makes_the_socket_its_own(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket* socket = open_socket(stack, "127.0.0.1:0");
  int on = 1;
  size_t size = sizeof on;
  assert_int_equal(fastudp_socket_set_option(socket, SOL_SOCKET, SO_PRIORITY, &on, sizeof on), 0);
  assert_int_equal(fastudp_socket_is_fast(socket), 1);
  assert_int_equal(fastudp_socket_set_option(socket, SOL_SOCKET, 9999, &on, sizeof on), -ENOPROTOOPT);
  assert_int_equal(fastudp_socket_is_fast(socket), 1);
  assert_int_equal(fastudp_socket_set_option(socket, IPPROTO_IP, IP_CHECKSUM, &on, sizeof on), 0);
  assert_int_equal(fastudp_socket_is_fast(socket), 0);
  on = 0;
  assert_int_equal(fastudp_socket_get_option(socket, IPPROTO_IP, IP_CHECKSUM, &on, &size), 0);
  assert_int_equal(on, 1);
  fastudp_socket_close(socket);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void waiting_looks_at_sockets_and_descriptors_alike(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket *server = open_socket(stack, "127.0.0.1:0"), *client = open_socket(stack, NULL);
  const fastudp_addr there = address_of(server);
  int pipes[2];
  assert_int_equal(pipe(pipes), 0);
  fastudp_wait_item items[3] = {{.socket = server, .events = POLLIN}, {.fd = pipes[0], .events = POLLIN}, {.fd = -1}};
  assert_int_equal(fastudp_wait(stack, items, 3, 0, NULL), 0);
  assert_int_equal(fastudp_wait(stack, items, 3, millisecond, NULL), 0);
  assert_int_equal(write(pipes[1], "x", 1), 1);
  assert_int_equal(fastudp_wait(stack, items, 3, -1, NULL), 1);
  assert_int_equal(items[0].revents, 0);
  assert_int_equal(items[1].revents, POLLIN);
  assert_int_equal(fastudp_sendto(client, "fast", 4, 0, &there), 4);
  assert_int_equal(fastudp_wait(stack, items, 3, -1, NULL), 2);
  assert_int_equal(items[0].revents, POLLIN);
  expect(server, "fast", 0);
  uint16_t port;
  const int other = kernel_socket(&port);
  send_from_kernel(other, "slow", there.port);
  assert_int_equal(fastudp_wait(stack, items, 1, -1, NULL), 1);
  expect(server, "slow", FASTUDP_DONTWAIT);
  items[1].fd = 1000;
  assert_int_equal(fastudp_wait(stack, items, 3, -1, NULL), 1);
  assert_int_equal(items[1].revents, POLLNVAL);
  close(other);
  close(pipes[0]);
  close(pipes[1]);
  fastudp_socket_close(server);
  fastudp_socket_close(client);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void an_edge_is_there_once_for_each_arrival(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket *server = open_socket(stack, "127.0.0.1:0"), *client = open_socket(stack, NULL);
  const fastudp_addr there = address_of(server);
  fastudp_wait_item item = {.socket = server, .fd = -1, .events = POLLIN | FASTUDP_EDGE};
  assert_int_equal(fastudp_wait(stack, &item, 1, 0, NULL), 0);
  for (int i = 0; i < 3; ++i) {
    assert_int_equal(fastudp_sendto(client, "fast", 4, 0, &there), 4);
    assert_int_equal(fastudp_wait(stack, &item, 1, -1, NULL), 1);
    assert_int_equal(item.revents, POLLIN);
    assert_int_equal(fastudp_wait(stack, &item, 1, millisecond, NULL), 0);
  }
  expect(server, "fast", FASTUDP_DONTWAIT);
  assert_int_equal(fastudp_wait(stack, &item, 1, 0, NULL), 0);
  item.fd = -1;
  assert_int_equal(fastudp_wait(stack, &item, 1, 0, NULL), 1);
  expect(server, "fast", FASTUDP_DONTWAIT);
  expect(server, "fast", FASTUDP_DONTWAIT);
  assert_int_equal(fastudp_sendto(client, "read", 4, 0, &there), 4);
  expect(server, "read", FASTUDP_DONTWAIT);
  item.events |= POLLOUT;
  assert_int_equal(fastudp_wait(stack, &item, 1, 0, NULL), 1);
  assert_int_equal(item.revents, POLLOUT);
  fastudp_socket_close(server);
  fastudp_socket_close(client);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void* send_later(void* socket) {
  const fastudp_addr there = address_of(socket);
  fastudp_socket* self = socket;
  assert_int_equal(fastudp_sendto(self, "self", 4, 0, &there), 4);
  return NULL;
}

static void a_thread_that_waits_for_many_things_is_woken_by_another_thread(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket* server = open_socket(stack, "127.0.0.1:0");
  fastudp_wait_item item = {.socket = server, .events = POLLIN};
  for (int i = 0; i < 200; ++i) {
    pthread_t sender;
    assert_int_equal(pthread_create(&sender, NULL, send_later, server), 0);
    assert_int_equal(fastudp_wait(stack, &item, 1, -1, NULL), 1);
    expect(server, "self", FASTUDP_DONTWAIT);
    pthread_join(sender, NULL);
  }
  fastudp_socket_close(server);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void handle(int number) { (void)number; }

static void a_signal_ends_waiting_only_while_the_mask_lets_it_in(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket* server = open_socket(stack, "127.0.0.1:0");
  fastudp_wait_item item = {.socket = server, .events = POLLIN};
  const struct sigaction action = {.sa_handler = handle};
  sigset_t usr1, before, none;
  sigaction(SIGUSR1, &action, NULL);
  sigemptyset(&none);
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &usr1, &before);
  raise(SIGUSR1);  // pending
  assert_int_equal(fastudp_wait(stack, &item, 1, millisecond, NULL), 0);
  assert_int_equal(fastudp_wait(stack, &item, 1, -1, &none), -EINTR);
  assert_int_equal(fastudp_wait(stack, &item, 1, millisecond, &none), 0);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  fastudp_socket_close(server);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static int status_of(pid_t child) {
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  return status;
}

// What daemon() makes: the parent does nothing more with it.
static void a_child_whose_parent_leaves_it_alone_takes_the_stack_over(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket* server = open_socket(stack, "127.0.0.1:0");
  const fastudp_addr there = address_of(server);
  assert_int_equal(fastudp_sendto(server, "before", 6, 0, &there), 6);
  const pid_t child = fork();
  if (child == 0) {
    char text[8];
    int failures = fastudp_recvfrom(server, text, sizeof text, 0, NULL) != 6;
    failures += fastudp_sendto(server, "mine", 4, 0, &there) != 4;
    failures += fastudp_recvfrom(server, text, sizeof text, 0, NULL) != 4;
    failures += fastudp_socket_is_fast(server) != 1;
    failures += stats_of(stack).rx_fast != 2;
    _exit(failures);
  }
  assert_int_equal(status_of(child), 0);
  // Now the parent is the one that comes too late, and the socket is the kernel's.
  uint16_t port;
  const int other = kernel_socket(&port);
  send_from_kernel(other, "late", there.port);
  expect(server, "late", 0);
  assert_int_equal(fastudp_socket_is_fast(server), 0);
  close(other);
  fastudp_socket_close(server);
}

static void when_parent_and_child_both_go_on_the_socket_is_the_kernels_for_both(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket* server = open_socket(stack, "127.0.0.1:0");
  const fastudp_addr there = address_of(server);
  int ready[2];
  assert_int_equal(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    char text[8];
    if (read(ready[0], text, 1) != 1) _exit(1);  // the parent has used it by now
    int failures = fastudp_recvfrom(server, text, sizeof text, FASTUDP_DONTWAIT, NULL) != -EAGAIN;
    failures += fastudp_socket_is_fast(server) != 0;
    failures += fastudp_sendto(server, "child", 5, 0, &there) != 5;
    _exit(failures);
  }
  assert_int_equal(fastudp_sendto(server, "own", 3, 0, &there), 3);
  assert_int_equal(write(ready[1], "x", 1), 1);
  assert_int_equal(status_of(child), 0);
  expect(server, "own", FASTUDP_DONTWAIT);
  expect(server, "child", 0);
  assert_int_equal(fastudp_socket_is_fast(server), 0);
  close(ready[0]);
  close(ready[1]);
  fastudp_socket_close(server);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void a_child_that_only_closes_what_it_inherits_changes_nothing(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  fastudp_socket* server = open_socket(stack, "127.0.0.1:0");
  const fastudp_addr there = address_of(server);
  const pid_t child = fork();
  if (child == 0) _exit(fastudp_socket_close(server));
  assert_int_equal(status_of(child), 0);
  assert_int_equal(fastudp_sendto(server, "still", 5, 0, &there), 5);
  expect(server, "still", FASTUDP_DONTWAIT);
  assert_int_equal(stats_of(stack).rx_fast, 1);
  fastudp_socket_close(server);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static struct ifreq loopback_interface(int mtu) {
  struct ifreq out = {.ifr_name = "lo"};
  out.ifr_mtu = mtu;
  return out;
}

/* In a network of its own, as the machine's isn't to be changed; 0 is success. */
static int change_the_mtu(void) {
  if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return 0;
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP}, narrow = loopback_interface(1500);
  fastudp_stack* stack;
  fastudp_socket* s;
  const int always_df = IP_PMTUDISC_DO;
  fastudp_addr to = loopback(9);
  static char data[2000];
  if (ioctl(fd, SIOCSIFFLAGS, &up) != 0 || fastudp_stack_open(&stack, "loop:", NULL, NULL, 0) != 0) return 1;
  if (fastudp_socket_open(stack, FASTUDP_IPV4, &s) != 0) return 2;
  if (fastudp_socket_set_option(s, IPPROTO_IP, IP_MTU_DISCOVER, &always_df, sizeof always_df) != 0) return 3;
  if (fastudp_socket_bind(s, &to) != 0 || fastudp_sendto(s, data, sizeof data, 0, &to) != sizeof data) return 4;
  if (ioctl(fd, SIOCSIFMTU, &narrow) != 0 || fastudp_stack_host_changed(stack) != 0) return 5;
  if (fastudp_sendto(s, data, sizeof data, 0, &to) != -EMSGSIZE) return 6;
  fastudp_socket_close(s);
  close(fd);
  return fastudp_stack_close(stack) != 0;
}

static void a_change_of_the_host_is_seen_at_once_when_it_is_told(void** state) {
  (void)state;
  assert_int_equal(fastudp_stack_host_changed(NULL), -EFAULT);
  const pid_t child = fork();
  if (child == 0) _exit(change_the_mtu());
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

static void counters_in_a_file_outlive_their_process_and_add_up(void** state) {
  (void)state;
  char file[] = "/tmp/fastudp-counters-XXXXXX";
  close(mkstemp(file));
  for (int i = 0; i < 2; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      fastudp_stack* stack;
      const fastudp_stack_config config = {.size = sizeof config, .stats_file = file};
      if (fastudp_stack_open(&stack, "loop:", &config, NULL, 0) < 0) _exit(1);
      fastudp_socket* socket = open_socket(stack, "127.0.0.1:0");
      const fastudp_addr self = address_of(socket);
      fastudp_sendto(socket, "x", 1, 0, &self);
      raise(SIGKILL);
    }
    assert_int_equal(status_of(child), SIGKILL);
  }
  fastudp_stack_stats stats = {.size = sizeof stats};
  uint64_t drops[64], reasons[64];
  char explanation[256];
  assert_int_equal(fastudp_stats_read(file, &stats, drops, 64, reasons, 64, explanation, sizeof explanation), 2);
  assert_int_equal(stats.tx_fast, 2);
  assert_int_equal(stats.sockets_fast, 2);
  assert_memory_equal(explanation, "loop:\n", 6);
  assert_int_equal(truncate(file, 100), 0);
  assert_int_equal(fastudp_stats_read(file, &stats, NULL, 0, NULL, 0, NULL, 0), -EINVAL);
  unlink(file);
  assert_int_equal(fastudp_stats_read(file, &stats, NULL, 0, NULL, 0, NULL, 0), -ENOENT);
}

static void a_stack_explains_its_link(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("host:", 0);
  char text[64];
  const int length = fastudp_stack_explain(stack, text, sizeof text);
  assert_true(length >= 6);
  assert_memory_equal(text, "host:\n", 6);
  assert_int_equal(fastudp_stack_explain(stack, NULL, 0), length);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void what_spoke_against_a_faster_link_is_kept(void** state) {
  (void)state;
  fastudp_stack_config config = {.size = sizeof config, .why_not_faster = "no cable"};
  fastudp_stack* stack;
  char text[64];
  assert_int_equal(fastudp_stack_open(&stack, "host:", &config, NULL, 0), 0);
  fastudp_stack_explain(stack, text, sizeof text);
  assert_string_equal(text, "host:\nno cable");
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void a_link_for_one_process_says_so_before_a_fork(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack("loop:", 0);
  assert_int_equal(fastudp_stack_prepare_fork(stack), -EOPNOTSUPP);
  assert_int_equal(fastudp_stack_prepare_fork(NULL), -EFAULT);
  fastudp_socket* socket = open_socket(stack, "127.0.0.1:0");
  const fastudp_addr self = address_of(socket);
  assert_int_equal(fastudp_stack_prepare_exec(stack), 0);
  assert_int_equal(fastudp_stack_prepare_exec(NULL), -EFAULT);
  assert_int_equal(fastudp_stack_prepare_sandbox(stack), 0);
  assert_int_equal(fastudp_stack_prepare_sandbox(NULL), -EFAULT);
  char data[10];
  assert_int_equal(fastudp_sendto(socket, "x", 1, 0, &self), 1);  // no exec after all
  assert_int_equal(fastudp_recvfrom(socket, data, sizeof data, 0, NULL), 1);
  assert_int_equal(fastudp_socket_close(socket), 0);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reasons_have_names_and_texts),
      cmocka_unit_test(on_host_everything_is_the_kernels_and_counted),
      cmocka_unit_test(on_host_a_taken_port_is_the_kernels_answer),
      cmocka_unit_test(on_loop_sockets_of_one_process_are_fast_and_others_reach_them_all_the_same),
      cmocka_unit_test(a_closed_port_refuses_a_connected_socket_once),
      cmocka_unit_test(a_socket_of_the_programs_keeps_its_place),
      live_test(a_connected_socket_hears_no_stranger_through_the_kernel),
      cmocka_unit_test(what_is_no_udp_socket_is_not_adopted),
      cmocka_unit_test(handed_over_it_receives_first_what_came_the_fast_way),
      cmocka_unit_test(a_strict_stack_hands_nothing_over),
      cmocka_unit_test(an_option_that_only_the_kernel_honours_makes_the_socket_its_own),
      cmocka_unit_test(waiting_looks_at_sockets_and_descriptors_alike),
      cmocka_unit_test(an_edge_is_there_once_for_each_arrival),
      cmocka_unit_test(a_thread_that_waits_for_many_things_is_woken_by_another_thread),
      cmocka_unit_test(a_signal_ends_waiting_only_while_the_mask_lets_it_in),
      cmocka_unit_test(a_child_whose_parent_leaves_it_alone_takes_the_stack_over),
      cmocka_unit_test(when_parent_and_child_both_go_on_the_socket_is_the_kernels_for_both),
      cmocka_unit_test(a_child_that_only_closes_what_it_inherits_changes_nothing),
      cmocka_unit_test(a_link_for_one_process_says_so_before_a_fork),
      cmocka_unit_test(a_change_of_the_host_is_seen_at_once_when_it_is_told),
      cmocka_unit_test(counters_in_a_file_outlive_their_process_and_add_up),
      cmocka_unit_test(a_stack_explains_its_link),
      cmocka_unit_test(what_spoke_against_a_faster_link_is_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
