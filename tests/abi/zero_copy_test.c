// Borrowing, allocating, submitting and releasing frames: who owns what when, and misuse.

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "hosts.h"

static unsigned frames_free(fastudp_stack* stack) {
  fastudp_stack_info info = {.size = sizeof info};
  assert_int_equal(fastudp_stack_get_info(stack, &info), 0);
  return info.frames_free;
}

static fastudp_msg borrow_one(struct hosts* hosts) {
  fastudp_msg message = {0};
  assert_int_equal(fastudp_borrow(hosts->server.socket, &message, 1, FASTUDP_DONTWAIT), 1);
  return message;
}

static fastudp_msg alloc_one(fastudp_socket* socket, uint32_t size) {
  fastudp_msg message = {.size = size};
  assert_int_equal(fastudp_alloc(socket, &message, 1), 1);
  assert_non_null(message.frame);
  assert_non_null(message.data);
  return message;
}

static void a_borrowed_datagram_is_the_caller_s_until_released(void** state) {
  struct hosts* hosts = *state;
  send_text(hosts, "first");
  send_text(hosts, "second");
  fastudp_msg first = borrow_one(hosts), second = borrow_one(hosts);
  assert_int_equal(first.size, 5);
  assert_int_equal(first.length, 5);
  assert_int_equal(first.flags, 0);
  assert_address(&first.peer, "10.0.0.1:5000");
  assert_memory_equal(first.data, "first", 5);
  assert_memory_equal(second.data, "second", 6);
  memset(first.data, 'x', first.size);  // may be written
  for (int i = 0; i < 100; ++i) {
    send_text(hosts, "others come and go");
    expect_text(hosts, "others come and go");
  }
  assert_memory_equal(first.data, "xxxxx", 5);
  assert_memory_equal(second.data, "second", 6);
  assert_int_equal(fastudp_release(&first, 1), 1);
  assert_null(first.frame);
  assert_int_equal(fastudp_release(&first, 1), 0);  // nothing left to give back
  assert_int_equal(fastudp_release(&second, 1), 1);
}

static void bursts_are_borrowed_in_order(void** state) {
  struct hosts* hosts = *state;
  fastudp_msg messages[200] = {{0}};
  for (char i = 0; i < 100; ++i) send_text(hosts, (char[]){'a' + i % 26, '\0'});
  assert_int_equal(fastudp_borrow(hosts->server.socket, messages, 0, 0), 0);
  int borrowed = 0;
  while (borrowed < 100) {
    const int n = fastudp_borrow(hosts->server.socket, messages + borrowed, 200 - (size_t)borrowed, 0);
    assert_in_range(n, 1, 100 - borrowed);
    borrowed += n;
  }
  assert_int_equal(fastudp_borrow(hosts->server.socket, messages + 100, 1, 0), -EAGAIN);
  for (int i = 0; i < 100; ++i) assert_int_equal(*(char*)messages[i].data, 'a' + i % 26);
  assert_int_equal(fastudp_release(messages, 200), 100);  // those without a frame are passed over
  for (int i = 0; i < 100; ++i) assert_null(messages[i].frame);
}

static void frames_are_not_lost(void** state) {
  struct hosts* hosts = *state;
  const unsigned before = frames_free(hosts->server.stack);
  for (int i = 0; i < 50; ++i) send_text(hosts, "x");
  fastudp_msg messages[50] = {{0}};
  assert_int_equal(fastudp_borrow(hosts->server.socket, messages, 50, 0), 50);
  assert_true(frames_free(hosts->server.stack) < before);
  assert_int_equal(fastudp_release(messages, 50), 50);
  deliver(hosts->server.stack);
  assert_int_equal(frames_free(hosts->server.stack), before);
}

static void more_can_be_held_than_the_link_has_frames(void** state) {
  struct hosts* hosts = *state;
  fastudp_stack_info info = {.size = sizeof info};
  assert_int_equal(fastudp_stack_get_info(hosts->server.stack, &info), 0);
  static fastudp_msg held[100000];
  const size_t room = sizeof held / sizeof *held;
  size_t count = 0, wanted = info.frames + 100;
  assert_in_range(wanted, 1, room);
  for (; count < wanted; ++count) {
    send_text(hosts, "held");
    if (fastudp_borrow(hosts->server.socket, held + count, 1, FASTUDP_DONTWAIT) != 1) break;
    assert_memory_equal(held[count].data, "held", 4);
  }
  assert_in_range(count, 64, wanted);
  assert_int_equal(fastudp_release(held, count), count);
  send_text(hosts, "and it goes on");
  expect_text(hosts, "and it goes on");
}

static void an_echo_in_place_sends_the_borrowed_frame_back(void** state) {
  struct hosts* hosts = *state;
  const unsigned before = frames_free(hosts->server.stack);
  send_text(hosts, "ping");
  fastudp_msg message = borrow_one(hosts);
  memcpy(message.data, "pong", 4);
  assert_int_equal(fastudp_submit(hosts->server.socket, &message, 1, 0), 1);
  assert_null(message.frame);
  assert_int_equal(fastudp_release(&message, 1), 0);
  deliver(hosts->client.stack);
  char text[8];
  fastudp_addr from;
  assert_int_equal(fastudp_recvfrom(hosts->client.socket, text, sizeof text, FASTUDP_DONTWAIT, &from), 4);
  assert_memory_equal(text, "pong", 4);
  assert_address(&from, "10.0.0.2:7");
  deliver(hosts->server.stack);
  assert_int_equal(frames_free(hosts->server.stack), before);
}

static void part_of_a_borrowed_datagram_can_be_sent(void** state) {
  struct hosts* hosts = *state;
  send_text(hosts, "header:body");
  fastudp_msg message = borrow_one(hosts);
  message.data = (char*)message.data + 7;
  message.size = 4;
  assert_int_equal(fastudp_submit(hosts->server.socket, &message, 1, 0), 1);
  deliver(hosts->client.stack);
  char text[16];
  assert_int_equal(fastudp_recvfrom(hosts->client.socket, text, sizeof text, FASTUDP_DONTWAIT, NULL), 4);
  assert_memory_equal(text, "body", 4);
}

static void allocated_frames_are_filled_and_submitted(void** state) {
  struct hosts* hosts = *state;
  fastudp_msg messages[3] = {{.size = 0}, {.size = 4}, {.size = 1472}};
  assert_int_equal(fastudp_alloc(hosts->client.socket, messages, 3), 3);
  memcpy(messages[1].data, "four", 4);
  memset(messages[2].data, 'x', 1472);
  for (int i = 0; i < 3; ++i) messages[i].peer = server_address();
  assert_int_equal(fastudp_submit(hosts->client.socket, messages, 3, 0), 3);
  deliver(hosts->server.stack);
  expect_text(hosts, "");
  expect_text(hosts, "four");
  char text[2000];
  assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, sizeof text, FASTUDP_DONTWAIT, NULL), 1472);
  assert_int_equal(text[0], 'x');
  assert_int_equal(text[1471], 'x');
}

static void submitting_goes_to_the_connected_peer(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr to = server_address();
  fastudp_msg message = alloc_one(hosts->client.socket, 2);
  memcpy(message.data, "hi", 2);
  assert_int_equal(fastudp_submit(hosts->client.socket, &message, 1, 0), -EDESTADDRREQ);
  assert_non_null(message.frame);  // still the caller's
  assert_int_equal(fastudp_socket_connect(hosts->client.socket, &to), 0);
  assert_int_equal(fastudp_submit(hosts->client.socket, &message, 1, 0), 1);
  deliver(hosts->server.stack);
  expect_text(hosts, "hi");
}

static void what_was_not_sent_stays_the_caller_s(void** state) {
  struct hosts* hosts = *state;
  fastudp_msg messages[3] = {{.size = 1}, {.size = 1}, {.size = 1}};
  assert_int_equal(fastudp_alloc(hosts->client.socket, messages, 3), 3);
  for (int i = 0; i < 3; ++i) {
    *(char*)messages[i].data = (char)('1' + i);
    messages[i].peer = i == 1 ? at("192.0.2.1:7") : server_address();
  }
  assert_int_equal(fastudp_submit(hosts->client.socket, messages, 3, 0), 1);
  assert_null(messages[0].frame);
  assert_non_null(messages[1].frame);
  assert_non_null(messages[2].frame);
  assert_int_equal(fastudp_submit(hosts->client.socket, messages + 1, 2, 0), -ENETUNREACH);
  assert_int_equal(fastudp_submit(hosts->client.socket, messages + 2, 1, 0), 1);
  assert_int_equal(fastudp_release(messages, 3), 1);
  deliver(hosts->server.stack);
  expect_text(hosts, "1");
  expect_text(hosts, "3");
}

static void more_than_a_frame_holds_is_refused(void** state) {
  struct hosts* hosts = *state;
  fastudp_msg message = {.size = 70000};
  assert_int_equal(fastudp_alloc(hosts->client.socket, &message, 1), -EMSGSIZE);
  message.size = UINT32_MAX;
  assert_int_equal(fastudp_alloc(hosts->client.socket, &message, 1), -EMSGSIZE);
  assert_null(message.frame);
}

static void frames_run_out_and_come_back(void** state) {
  struct hosts* hosts = *state;
  static fastudp_msg held[100000];
  const size_t room = sizeof held / sizeof *held;
  size_t count = 0;
  int status = 1;
  for (; count < room; ++count) {
    held[count] = (fastudp_msg){.size = 100};
    status = fastudp_alloc(hosts->client.socket, held + count, 1);
    if (status != 1) break;
  }
  assert_int_equal(status, -ENOBUFS);
  assert_int_equal(fastudp_release(held, count), count);
  send_text(hosts, "frames again");
  expect_text(hosts, "frames again");
}

static void data_outside_of_its_frame_is_refused(void** state) {
  struct hosts* hosts = *state;
  char elsewhere[100] = {0};
  fastudp_msg message = alloc_one(hosts->client.socket, 1000);
  char* const data = message.data;
  message.peer = server_address();
  const struct {
    char* data;
    uint32_t size;
  } wrong[] = {{elsewhere, 10}, {NULL, 10},         {data - 100000, 10}, {data + 100000, 10},
               {data, 100000},  {data, UINT32_MAX}, {data + 500, 70000}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    message.data = wrong[i].data;
    message.size = wrong[i].size;
    const int status = fastudp_submit(hosts->client.socket, &message, 1, 0);
    if (status != -EINVAL && status != -EMSGSIZE && !(status == -EFAULT && !wrong[i].data)) {
      fail_msg("case %zu gave %d", i, status);
    }
    assert_non_null(message.frame);
  }
  assert_int_equal(fastudp_release(&message, 1), 1);
}

// Moves the start of the payload to the front of the frame: as long as it is taken, the headers fit before it.
static void the_headers_need_room_before_the_data(void** state) {
  struct hosts* hosts = *state;
  int moved = 0, status = 1;
  for (; moved < 4096 && status == 1; ++moved) {
    fastudp_msg message = alloc_one(hosts->client.socket, 1);
    message.data = (char*)message.data - moved;
    *(char*)message.data = 'x';
    message.peer = server_address();
    status = fastudp_submit(hosts->client.socket, &message, 1, 0);
    fastudp_release(&message, 1);
    deliver(hosts->server.stack);
    if (status == 1) expect_text(hosts, "x");
  }
  assert_int_equal(status, -EINVAL);
}

static void another_socket_of_the_stack_may_send_the_frame_on(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* other = open_socket(hosts->server.stack, ":8");
  send_text(hosts, "pass it on");
  fastudp_msg message = borrow_one(hosts);
  assert_int_equal(fastudp_socket_close(hosts->server.socket), -EBUSY);
  assert_int_equal(fastudp_submit(other, &message, 1, 0), 1);
  deliver(hosts->client.stack);
  char text[16];
  fastudp_addr from;
  assert_int_equal(fastudp_recvfrom(hosts->client.socket, text, sizeof text, FASTUDP_DONTWAIT, &from), 10);
  assert_address(&from, "10.0.0.2:8");
  assert_int_equal(fastudp_socket_close(hosts->server.socket), 0);  // no frame of its is out any more
  hosts->server.socket = other;
}

static void another_stack_s_frame_is_refused(void** state) {
  struct hosts* hosts = *state;
  send_text(hosts, "not yours");
  fastudp_msg message = borrow_one(hosts);
  message.peer = server_address();
  assert_int_equal(fastudp_submit(hosts->client.socket, &message, 1, 0), -EINVAL);
  assert_non_null(message.frame);
  assert_memory_equal(message.data, "not yours", 9);
  assert_int_equal(fastudp_release(&message, 1), 1);
}

static void a_submit_of_nothing_is_misuse(void** state) {
  struct hosts* hosts = *state;
  fastudp_msg message = {.data = "x", .size = 1, .peer = server_address()};
  assert_int_equal(fastudp_submit(hosts->client.socket, &message, 1, 0), -EINVAL);
  assert_int_equal(fastudp_submit(hosts->client.socket, &message, 0, 0), 0);
}

static void null_pointers_are_refused(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* socket = hosts->client.socket;
  fastudp_msg message = {0};
  assert_int_equal(fastudp_borrow(NULL, &message, 1, 0), -EFAULT);
  assert_int_equal(fastudp_borrow(socket, NULL, 1, 0), -EFAULT);
  assert_int_equal(fastudp_alloc(NULL, &message, 1), -EFAULT);
  assert_int_equal(fastudp_alloc(socket, NULL, 1), -EFAULT);
  assert_int_equal(fastudp_submit(NULL, &message, 1, 0), -EFAULT);
  assert_int_equal(fastudp_submit(socket, NULL, 1, 0), -EFAULT);
  assert_int_equal(fastudp_release(NULL, 1), -EFAULT);
  assert_int_equal(fastudp_release(NULL, 0), 0);
}

static void flags_that_make_no_sense_here_are_refused(void** state) {
  struct hosts* hosts = *state;
  send_text(hosts, "kept");
  fastudp_msg message = {0};
  assert_int_equal(fastudp_borrow(hosts->server.socket, &message, 1, FASTUDP_PEEK), -EOPNOTSUPP);
  message = alloc_one(hosts->client.socket, 1);
  message.peer = server_address();
  assert_int_equal(fastudp_submit(hosts->client.socket, &message, 1, 0x1), -EOPNOTSUPP);
  assert_int_equal(fastudp_release(&message, 1), 1);
  expect_text(hosts, "kept");
}

static int set_number(fastudp_socket* socket, int level, int name, int value) {
  return fastudp_socket_set_option(socket, level, name, &value, sizeof value);
}

static fastudp_msg filled(struct hosts* hosts, const char* text) {
  fastudp_msg message = alloc_one(hosts->client.socket, (uint32_t)strlen(text));
  memcpy(message.data, text, strlen(text));
  message.peer = server_address();
  return message;
}

static void a_submitted_frame_can_be_many_datagrams(void** state) {
  struct hosts* hosts = *state;
  const unsigned before = frames_free(hosts->client.stack);
  assert_int_equal(set_number(hosts->client.socket, IPPROTO_UDP, UDP_SEGMENT, 3), 0);
  fastudp_msg message = filled(hosts, "abcdefgh");
  assert_int_equal(fastudp_submit(hosts->client.socket, &message, 1, 0), 1);
  assert_null(message.frame);
  deliver(hosts->server.stack);
  expect_text(hosts, "abc");
  expect_text(hosts, "def");
  expect_text(hosts, "gh");
  deliver(hosts->client.stack);
  assert_int_equal(frames_free(hosts->client.stack), before);
}

static void a_submitted_frame_can_be_a_piece_of_a_datagram(void** state) {
  struct hosts* hosts = *state;
  const unsigned before = frames_free(hosts->client.stack);
  fastudp_msg first = filled(hosts, "one "), second = filled(hosts, "datagram");
  assert_int_equal(fastudp_submit(hosts->client.socket, &first, 1, FASTUDP_MORE), 1);
  assert_null(first.frame);
  assert_int_equal(fastudp_submit(hosts->client.socket, &second, 1, 0), 1);
  deliver(hosts->server.stack);
  expect_text(hosts, "one datagram");
  deliver(hosts->client.stack);
  assert_int_equal(frames_free(hosts->client.stack), before);
}

static void what_is_read_as_one_is_borrowed_one_by_one(void** state) {
  struct hosts* hosts = *state;
  assert_int_equal(set_number(hosts->server.socket, IPPROTO_UDP, UDP_GRO, 1), 0);
  assert_int_equal(set_number(hosts->client.socket, IPPROTO_UDP, UDP_SEGMENT, 3), 0);
  send_text(hosts, "abcdefgh");
  fastudp_msg first = borrow_one(hosts);
  assert_int_equal(first.size, 3);
  assert_int_equal(fastudp_release(&first, 1), 1);
  expect_text(hosts, "defgh");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      still_test(a_borrowed_datagram_is_the_caller_s_until_released),
      still_test(bursts_are_borrowed_in_order),
      still_test(frames_are_not_lost),
      still_test(more_can_be_held_than_the_link_has_frames),
      still_test(an_echo_in_place_sends_the_borrowed_frame_back),
      still_test(part_of_a_borrowed_datagram_can_be_sent),
      still_test(allocated_frames_are_filled_and_submitted),
      still_test(submitting_goes_to_the_connected_peer),
      still_test(what_was_not_sent_stays_the_caller_s),
      still_test(more_than_a_frame_holds_is_refused),
      still_test(frames_run_out_and_come_back),
      still_test(data_outside_of_its_frame_is_refused),
      still_test(the_headers_need_room_before_the_data),
      still_test(another_socket_of_the_stack_may_send_the_frame_on),
      still_test(another_stack_s_frame_is_refused),
      still_test(a_submit_of_nothing_is_misuse),
      still_test(null_pointers_are_refused),
      still_test(flags_that_make_no_sense_here_are_refused),
      still_test(a_submitted_frame_can_be_many_datagrams),
      still_test(a_submitted_frame_can_be_a_piece_of_a_datagram),
      still_test(what_is_read_as_one_is_borrowed_one_by_one),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
