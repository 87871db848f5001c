// Waiting: timeouts, waking up, signals, and the descriptors for the caller's own event loop.

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "hosts.h"

enum { brief = 30 * millisecond, patient_ms = 60000 };

static void receiving_gives_up_at_its_timeout_and_not_before(void** state) {
  struct hosts* hosts = *state;
  fastudp_msg message = {0};
  char text[8];
  set_receive_timeout(hosts->server.socket, brief);
  int64_t start = monotonic();
  assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, sizeof text, 0, NULL), -EAGAIN);
  assert_true(monotonic() - start >= brief);
  start = monotonic();
  assert_int_equal(fastudp_recv(hosts->server.socket, &message, 1, 0), -EAGAIN);
  assert_true(monotonic() - start >= brief);
  start = monotonic();
  assert_int_equal(fastudp_borrow(hosts->server.socket, &message, 1, 0), -EAGAIN);
  assert_true(monotonic() - start >= brief);
}

static void a_timeout_does_not_hold_up_what_is_there(void** state) {
  struct hosts* hosts = *state;
  char text[8];
  set_receive_timeout(hosts->server.socket, 3600 * 1000000000LL);
  send_text(hosts, "there");
  assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, sizeof text, 0, NULL), 5);
}

// A burst larger than what is there is not waited for, whether it ends within the library's own portions or with one.
static void receiving_never_waits_for_a_second(void** state) {
  struct hosts* hosts = *state;
  fastudp_msg messages[200] = {{0}};
  for (int count = 1; count <= 130; count += 43) {
    for (int i = 0; i < count; ++i) send_text(hosts, "");
    assert_int_equal(fastudp_recv(hosts->server.socket, messages, 200, 0), count);
  }
  for (int i = 0; i < 64; ++i) send_text(hosts, "");
  assert_int_equal(fastudp_recv(hosts->server.socket, messages, 200, 0), 64);
  for (int i = 0; i < 64; ++i) send_text(hosts, "");
  assert_int_equal(fastudp_borrow(hosts->server.socket, messages, 200, 0), 64);
  assert_int_equal(fastudp_release(messages, 200), 64);
}

static void a_still_clock_never_blocks(void** state) {
  struct hosts* hosts = *state;
  set_receive_timeout(hosts->server.socket, brief);
  assert_int_equal(fastudp_recv(hosts->server.socket, &(fastudp_msg){0}, 1, 0), -EAGAIN);
  assert_int_equal(fastudp_borrow(hosts->server.socket, &(fastudp_msg){0}, 1, 0), -EAGAIN);
  assert_int_equal(fastudp_socket_wait(hosts->server.socket, FASTUDP_READABLE, -1), 0);
  assert_int_equal(fastudp_socket_wait(hosts->server.socket, FASTUDP_READABLE, brief), 0);
  assert_int_equal(fastudp_stack_wait(hosts->server.stack, brief), 0);
}

static void waiting_gives_up_at_its_deadline_and_not_before(void** state) {
  struct hosts* hosts = *state;
  int64_t start = monotonic();
  assert_int_equal(fastudp_socket_wait(hosts->server.socket, FASTUDP_READABLE, brief), 0);
  assert_true(monotonic() - start >= brief);
  start = monotonic();
  assert_int_equal(fastudp_stack_wait(hosts->server.stack, brief), 0);
  assert_true(monotonic() - start >= brief);
  assert_int_equal(fastudp_socket_wait(hosts->server.socket, FASTUDP_READABLE, 0), 0);
  assert_int_equal(fastudp_stack_wait(hosts->server.stack, 0), 0);
}

static void what_is_ready_is_said_without_waiting(void** state) {
  struct hosts* hosts = *state;
  const int both = FASTUDP_READABLE | FASTUDP_WRITABLE;
  assert_int_equal(fastudp_socket_poll(hosts->server.socket), FASTUDP_WRITABLE);
  assert_int_equal(fastudp_socket_wait(hosts->server.socket, both, -1), FASTUDP_WRITABLE);
  const fastudp_addr to = server_address();
  assert_int_equal(fastudp_sendto(hosts->client.socket, "x", 1, 0, &to), 1);
  assert_int_equal(fastudp_socket_poll(hosts->server.socket), both);  // it looks at the link
  assert_int_equal(fastudp_socket_wait(hosts->server.socket, FASTUDP_READABLE, -1) & FASTUDP_READABLE,
                   FASTUDP_READABLE);
  expect_text(hosts, "x");
  assert_int_equal(fastudp_socket_poll(hosts->server.socket), FASTUDP_WRITABLE);
}

static void the_next_length_is_told_without_taking_anything(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* server = hosts->server.socket;
  assert_int_equal(fastudp_socket_next_length(server), 0);
  const fastudp_addr to = server_address();
  assert_int_equal(fastudp_sendto(hosts->client.socket, "four", 4, 0, &to), 4);
  assert_int_equal(fastudp_sendto(hosts->client.socket, "", 0, 0, &to), 0);
  assert_int_equal(fastudp_sendto(hosts->client.socket, "xy", 2, 0, &to), 2);
  assert_int_equal(fastudp_socket_next_length(server), 4);
  assert_int_equal(fastudp_socket_next_length(server), 4);
  expect_text(hosts, "four");
  assert_int_equal(fastudp_socket_next_length(server), 0);  // the empty one
  expect_text(hosts, "");
  assert_int_equal(fastudp_socket_next_length(server), 2);
  assert_int_equal(fastudp_socket_next_length(NULL), -EFAULT);
}

// A thread that makes one blocking call.
struct caller {
  pthread_t thread;
  fastudp_socket* socket;
  fastudp_stack* stack;
  atomic_int returned;
  int64_t result;
  char text[32];
};

static void* call_recvfrom(void* argument) {
  struct caller* caller = argument;
  caller->result = fastudp_recvfrom(caller->socket, caller->text, sizeof caller->text, 0, NULL);
  atomic_store(&caller->returned, 1);
  return NULL;
}

static void* call_borrow(void* argument) {
  struct caller* caller = argument;
  fastudp_msg message = {0};
  caller->result = fastudp_borrow(caller->socket, &message, 1, 0);
  fastudp_release(&message, 1);
  atomic_store(&caller->returned, 1);
  return NULL;
}

static void* call_socket_wait(void* argument) {
  struct caller* caller = argument;
  caller->result = fastudp_socket_wait(caller->socket, FASTUDP_READABLE, -1);
  atomic_store(&caller->returned, 1);
  return NULL;
}

static void* call_stack_wait(void* argument) {
  struct caller* caller = argument;
  caller->result = fastudp_stack_wait(caller->stack, -1);
  atomic_store(&caller->returned, 1);
  return NULL;
}

static void start(struct caller* caller, const struct host* host, void* (*call)(void*)) {
  memset(caller, 0, sizeof *caller);
  caller->socket = host->socket;
  caller->stack = host->stack;
  assert_int_equal(pthread_create(&caller->thread, NULL, call, caller), 0);
}

static void send_to(struct hosts* hosts, const char* address, const char* text) {
  const fastudp_addr to = at(address);
  assert_int_equal(fastudp_sendto(hosts->client.socket, text, strlen(text), 0, &to), (int64_t)strlen(text));
}

static int64_t result_of(struct caller* caller) {
  assert_int_equal(pthread_join(caller->thread, NULL), 0);
  return caller->result;
}

static void a_datagram_wakes_who_waits_for_it(void** state) {
  struct hosts* hosts = *state;
  struct caller caller;
  start(&caller, &hosts->server, call_recvfrom);
  send_to(hosts, "10.0.0.2:7", "wake up");
  assert_int_equal(result_of(&caller), 7);
  assert_memory_equal(caller.text, "wake up", 7);

  start(&caller, &hosts->server, call_borrow);
  send_to(hosts, "10.0.0.2:7", "wake up");
  assert_int_equal(result_of(&caller), 1);

  start(&caller, &hosts->server, call_socket_wait);
  send_to(hosts, "10.0.0.2:7", "wake up");
  assert_int_equal(result_of(&caller) & FASTUDP_READABLE, FASTUDP_READABLE);
  expect_text(hosts, "wake up");

  start(&caller, &hosts->server, call_stack_wait);
  send_to(hosts, "10.0.0.2:7", "wake up");
  assert_int_equal(result_of(&caller), 1);
  deliver(hosts->server.stack);
  expect_text(hosts, "wake up");
}

// Two threads sleep on two sockets of one stack, and one of them looks after the link for both. Whoever is woken first,
// the other is not forgotten.
static void each_waiter_gets_its_own(void** state) {
  struct hosts* hosts = *state;
  struct host other = {hosts->server.stack, open_socket(hosts->server.stack, ":8")};
  for (int round = 0; round < 200; ++round) {
    struct caller first, second;
    start(&first, &hosts->server, call_recvfrom);
    start(&second, &other, call_recvfrom);
    send_to(hosts, round % 2 ? "10.0.0.2:7" : "10.0.0.2:8", "one");
    assert_int_equal(result_of(round % 2 ? &first : &second), 3);
    send_to(hosts, round % 2 ? "10.0.0.2:8" : "10.0.0.2:7", "other");
    assert_int_equal(result_of(round % 2 ? &second : &first), 5);
  }
  assert_int_equal(fastudp_socket_close(other.socket), 0);
}

enum { round_trips = 2000 };

static void* answer_all(void* argument) {
  struct caller* caller = argument;
  for (int i = 0; i < round_trips; ++i) {
    fastudp_addr from;
    const int64_t size = fastudp_recvfrom(caller->socket, caller->text, sizeof caller->text, 0, &from);
    caller->result = size < 0 ? size : fastudp_sendto(caller->socket, caller->text, (size_t)size, 0, &from);
    if (caller->result < 0) break;
  }
  return NULL;
}

static void two_threads_talk_by_blocking_calls(void** state) {
  struct hosts* hosts = *state;
  struct caller caller;
  start(&caller, &hosts->server, answer_all);
  for (int i = 0; i < round_trips; ++i) {
    int seen = -1;
    const fastudp_addr to = server_address();
    assert_int_equal(fastudp_sendto(hosts->client.socket, &i, sizeof i, 0, &to), sizeof i);
    assert_int_equal(fastudp_recvfrom(hosts->client.socket, &seen, sizeof seen, 0, NULL), sizeof seen);
    assert_int_equal(seen, i);
  }
  assert_int_equal(result_of(&caller), sizeof(int));
}

static void shutting_down_wakes_who_waits(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr peer = client_address();
  assert_int_equal(fastudp_socket_connect(hosts->server.socket, &peer), 0);
  struct caller caller;
  start(&caller, &hosts->server, call_recvfrom);
  assert_int_equal(fastudp_socket_shutdown(hosts->server.socket, FASTUDP_SHUT_RD), 0);
  assert_int_equal(result_of(&caller), 0);
}

static void ignore(int number) { (void)number; }

// Signals the thread until its call has returned: those that come before it blocks are handled and forgotten.
static int64_t interrupt(struct caller* caller) {
  while (!atomic_load(&caller->returned)) {
    assert_int_equal(pthread_kill(caller->thread, SIGUSR1), 0);
    sched_yield();
  }
  return result_of(caller);
}

static void a_signal_interrupts_every_blocking_call(void** state) {
  struct hosts* hosts = *state;
  struct sigaction action = {.sa_handler = ignore}, before;
  sigaction(SIGUSR1, &action, &before);
  void* (*const calls[])(void*) = {call_recvfrom, call_borrow, call_socket_wait, call_stack_wait};
  for (size_t i = 0; i < sizeof calls / sizeof *calls; ++i) {
    struct caller caller;
    start(&caller, &hosts->server, calls[i]);
    assert_int_equal(interrupt(&caller), -EINTR);
  }
  sigaction(SIGUSR1, &before, NULL);
  send_text(hosts, "goes on");
  expect_text(hosts, "goes on");
}

static int readable(int fd, int patience) {
  struct pollfd item = {.fd = fd, .events = POLLIN};
  const int count = poll(&item, 1, patience);
  assert_in_range(count, 0, 1);
  return count && (item.revents & POLLIN);
}

static void the_stack_s_descriptor_tells_that_polling_may_find_work(void** state) {
  struct hosts* hosts = *state;
  const int fd = fastudp_stack_fd(hosts->server.stack);
  assert_true(fd >= 0);
  assert_int_equal(fastudp_stack_fd(hosts->server.stack), fd);
  for (int i = 0; i < 100; ++i) {
    deliver(hosts->server.stack);
    assert_false(readable(fd, 0));
    send_to(hosts, "10.0.0.2:7", "x");
    assert_true(readable(fd, patient_ms));
    assert_int_equal(fastudp_stack_poll(hosts->server.stack, 0), 1);
    expect_text(hosts, "x");
  }
}

static void the_socket_s_descriptor_is_readable_exactly_while_something_is_queued(void** state) {
  struct hosts* hosts = *state;
  const int fd = fastudp_socket_fd(hosts->server.socket);
  char text[8];
  assert_true(fd >= 0);
  assert_int_equal(fastudp_socket_fd(hosts->server.socket), fd);
  assert_false(readable(fd, 0));
  for (int i = 0; i < 10; ++i) {
    send_text(hosts, "one");
    assert_true(readable(fd, 0));
    send_text(hosts, "two");
    assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, sizeof text, FASTUDP_PEEK, NULL), 3);
    expect_text(hosts, "one");
    assert_true(readable(fd, 0));
    expect_text(hosts, "two");
    assert_false(readable(fd, 0));
  }
  send_text(hosts, "");
  assert_true(readable(fd, 0));
  fastudp_msg message = {0};
  assert_int_equal(fastudp_borrow(hosts->server.socket, &message, 1, 0), 1);
  assert_false(readable(fd, 0));
  assert_int_equal(fastudp_release(&message, 1), 1);
}

static void what_was_queued_before_shows_in_a_new_descriptor(void** state) {
  struct hosts* hosts = *state;
  send_text(hosts, "early");
  const int fd = fastudp_socket_fd(hosts->server.socket);
  assert_true(readable(fd, 0));
  expect_text(hosts, "early");
  assert_false(readable(fd, 0));
}

// Has the client's socket, which is connected to a closed port, learn that it is closed.
static void be_refused(struct hosts* hosts) {
  assert_int_equal(fastudp_sendto(hosts->client.socket, "x", 1, 0, NULL), 1);
  deliver(hosts->server.stack);
  deliver(hosts->client.stack);
}

static void a_pending_error_makes_the_descriptor_readable_until_it_is_taken(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr nobody = at("10.0.0.2:99");
  fastudp_socket* socket = hosts->client.socket;
  const int fd = fastudp_socket_fd(socket);
  assert_int_equal(fastudp_socket_connect(socket, &nobody), 0);
  char text[4];
  be_refused(hosts);
  assert_true(readable(fd, 0));
  assert_int_equal(fastudp_recvfrom(socket, text, sizeof text, 0, NULL), -ECONNREFUSED);
  assert_false(readable(fd, 0));

  be_refused(hosts);
  assert_true(readable(fd, 0));
  assert_int_equal(fastudp_sendto(socket, "x", 1, 0, NULL), -ECONNREFUSED);
  assert_false(readable(fd, 0));

  be_refused(hosts);
  assert_true(readable(fd, 0));
  int error = 0;
  size_t size = sizeof error;
  assert_int_equal(fastudp_socket_get_option(socket, SOL_SOCKET, SO_ERROR, &error, &size), 0);
  assert_int_equal(error, ECONNREFUSED);
  assert_false(readable(fd, 0));
}

static void a_queued_error_makes_the_descriptor_readable_until_it_is_read(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr nobody = at("10.0.0.2:99");
  fastudp_socket* socket = hosts->client.socket;
  const int fd = fastudp_socket_fd(socket), yes = 1;
  assert_int_equal(fastudp_socket_set_option(socket, IPPROTO_IP, IP_RECVERR, &yes, sizeof yes), 0);
  assert_int_equal(fastudp_socket_connect(socket, &nobody), 0);
  char text[4];
  be_refused(hosts);
  assert_true(readable(fd, 0));
  assert_int_equal(fastudp_recvfrom(socket, text, sizeof text, 0, NULL), -ECONNREFUSED);
  assert_true(readable(fd, 0));  // it is in the queue still
  assert_int_equal(fastudp_recvfrom(socket, text, sizeof text, FASTUDP_ERRQUEUE, NULL), 1);
  assert_false(readable(fd, 0));
}

static void the_end_makes_the_descriptor_readable(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr peer = client_address();
  const int fd = fastudp_socket_fd(hosts->server.socket);
  assert_int_equal(fastudp_socket_connect(hosts->server.socket, &peer), 0);
  assert_int_equal(fastudp_socket_shutdown(hosts->server.socket, FASTUDP_SHUT_RD), 0);
  assert_true(readable(fd, 0));
}

// No call of ours looks at the server's stack meanwhile: its helper thread does.
static void the_socket_s_descriptor_works_while_no_call_does(void** state) {
  struct hosts* hosts = *state;
  const int fd = fastudp_socket_fd(hosts->server.socket);
  assert_true(fd >= 0);
  for (int i = 0; i < 500; ++i) {
    send_to(hosts, "10.0.0.2:7", "x");
    assert_true(readable(fd, patient_ms));
    expect_text(hosts, "x");
    assert_false(readable(fd, 0));
  }
}

static void descriptors_of_many_sockets_are_apart(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* sockets[20];
  int fds[20];
  fastudp_addr to = at("10.0.0.2:100");
  for (int i = 0; i < 20; ++i) {
    to.port = (uint16_t)(100 + i);
    sockets[i] = open_socket(hosts->server.stack, NULL);
    assert_int_equal(fastudp_socket_bind(sockets[i], &to), 0);
    fds[i] = fastudp_socket_fd(sockets[i]);
  }
  for (int i = 0; i < 20; ++i) {
    to.port = (uint16_t)(100 + i);
    assert_int_equal(fastudp_sendto(hosts->client.socket, "x", 1, 0, &to), 1);
    assert_true(readable(fds[i], patient_ms));
    for (int j = i + 1; j < 20; ++j) assert_false(readable(fds[j], 0));
  }
  for (int i = 0; i < 20; ++i) assert_int_equal(fastudp_socket_close(sockets[i]), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      live_test(receiving_gives_up_at_its_timeout_and_not_before),
      live_test(receiving_never_waits_for_a_second),
      still_test(a_still_clock_never_blocks),
      live_test(a_timeout_does_not_hold_up_what_is_there),
      live_test(waiting_gives_up_at_its_deadline_and_not_before),
      live_test(what_is_ready_is_said_without_waiting),
      live_test(the_next_length_is_told_without_taking_anything),
      live_test(a_datagram_wakes_who_waits_for_it),
      live_test(each_waiter_gets_its_own),
      live_test(two_threads_talk_by_blocking_calls),
      live_test(shutting_down_wakes_who_waits),
      live_test(a_signal_interrupts_every_blocking_call),
      live_test(the_stack_s_descriptor_tells_that_polling_may_find_work),
      still_test(the_socket_s_descriptor_is_readable_exactly_while_something_is_queued),
      still_test(what_was_queued_before_shows_in_a_new_descriptor),
      still_test(a_pending_error_makes_the_descriptor_readable_until_it_is_taken),
      still_test(a_queued_error_makes_the_descriptor_readable_until_it_is_read),
      still_test(the_end_makes_the_descriptor_readable),
      live_test(the_socket_s_descriptor_works_while_no_call_does),
      live_test(descriptors_of_many_sockets_are_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
