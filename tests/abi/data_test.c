// Sending and receiving by copy: bursts, sizes, truncation, flags, control messages, errors.

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "hosts.h"

enum { most = 200, payload_room = 64 };

struct burst {
  fastudp_msg messages[most];
  char data[most][payload_room];
};

static void fill(struct burst* burst, int count, const fastudp_addr* to) {
  memset(burst, 0, sizeof *burst);
  for (int i = 0; i < count; ++i) {
    memcpy(burst->data[i], &i, sizeof i);
    burst->messages[i] = (fastudp_msg){.data = burst->data[i], .size = sizeof i + (uint32_t)i % 50, .peer = *to};
  }
}

// All `count`, in as many calls as it takes.
static void send_burst(fastudp_socket* socket, struct burst* burst, int count) {
  for (int sent = 0; sent < count;) {
    const int n = fastudp_send(socket, burst->messages + sent, (size_t)(count - sent), 0);
    assert_in_range(n, 1, count - sent);
    sent += n;
  }
}

static void receive_burst(fastudp_socket* socket, struct burst* burst, int count) {
  memset(burst, 0x55, sizeof *burst);
  for (int i = 0; i < count; ++i) burst->messages[i] = (fastudp_msg){.data = burst->data[i], .size = payload_room};
  for (int received = 0; received < count;) {
    const int n = fastudp_recv(socket, burst->messages + received, (size_t)(count - received), FASTUDP_DONTWAIT);
    assert_in_range(n, 1, count - received);
    received += n;
  }
}

static void bursts_of_every_size_arrive_in_order(void** state) {
  struct hosts* hosts = *state;
  static const int counts[] = {1, 2, 63, 64, 65, 128, most};
  struct burst* burst = malloc(sizeof *burst);
  const fastudp_addr to = server_address();
  for (size_t c = 0; c < sizeof counts / sizeof *counts; ++c) {
    fill(burst, counts[c], &to);
    send_burst(hosts->client.socket, burst, counts[c]);
    deliver(hosts->server.stack);
    receive_burst(hosts->server.socket, burst, counts[c]);
    for (int i = 0; i < counts[c]; ++i) {
      assert_memory_equal(burst->data[i], &i, sizeof i);
      assert_int_equal(burst->messages[i].length, sizeof i + (size_t)i % 50);
      assert_int_equal(burst->messages[i].size, burst->messages[i].length);
      assert_int_equal(burst->messages[i].flags, 0);
      assert_address(&burst->messages[i].peer, "10.0.0.1:5000");
    }
    expect_nothing(hosts->server.socket);
  }
  free(burst);
}

static void an_empty_burst_is_nothing(void** state) {
  struct hosts* hosts = *state;
  fastudp_msg message = {0};
  assert_int_equal(fastudp_send(hosts->client.socket, &message, 0, 0), 0);
  assert_int_equal(fastudp_send(hosts->client.socket, NULL, 0, 0), 0);
  send_text(hosts, "stays");
  assert_int_equal(fastudp_recv(hosts->server.socket, &message, 0, FASTUDP_DONTWAIT), 0);
  assert_int_equal(fastudp_recv(hosts->server.socket, NULL, 0, FASTUDP_DONTWAIT), 0);
  expect_text(hosts, "stays");
}

static void a_burst_may_go_to_many_peers(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* other = open_socket(hosts->server.stack, ":8");
  const fastudp_addr first = server_address(), second = at("10.0.0.2:8");
  struct burst* burst = malloc(sizeof *burst);
  fill(burst, 40, &first);
  for (int i = 0; i < 40; i += 2) burst->messages[i].peer = second;
  send_burst(hosts->client.socket, burst, 40);
  deliver(hosts->server.stack);
  receive_burst(other, burst, 20);
  for (int i = 0, sent = 0; i < 20; ++i, sent += 2) assert_memory_equal(burst->data[i], &sent, sizeof sent);
  receive_burst(hosts->server.socket, burst, 20);
  for (int i = 0, sent = 1; i < 20; ++i, sent += 2) assert_memory_equal(burst->data[i], &sent, sizeof sent);
  assert_int_equal(fastudp_socket_close(other), 0);
  free(burst);
}

static void a_failure_after_the_first_shows_in_the_next_call(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr to = server_address();
  struct burst* burst = malloc(sizeof *burst);
  fill(burst, 4, &to);
  burst->messages[2].peer = at("192.0.2.1:7");  // no route
  assert_int_equal(fastudp_send(hosts->client.socket, burst->messages, 4, 0), 2);
  assert_int_equal(fastudp_send(hosts->client.socket, burst->messages + 2, 2, 0), -ENETUNREACH);
  assert_int_equal(fastudp_send(hosts->client.socket, burst->messages + 3, 1, 0), 1);
  deliver(hosts->server.stack);
  receive_burst(hosts->server.socket, burst, 3);
  const int expected[] = {0, 1, 3};
  for (int i = 0; i < 3; ++i) assert_memory_equal(burst->data[i], &expected[i], sizeof(int));
  expect_nothing(hosts->server.socket);
  free(burst);
}

static void every_size_arrives_whole(void** state) {
  struct hosts* hosts = *state;
  static const int sizes[] = {0, 1, 2, 3, 17, 18, 19, 1471, 1472, 1473, 2953, 9000, 32768, 65506, 65507};
  const fastudp_addr to = server_address();
  char *sent = malloc(65536), *seen = malloc(65536);
  for (int i = 0; i < 65536; ++i) sent[i] = (char)(i * 7 + i / 256);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    assert_int_equal(fastudp_sendto(hosts->client.socket, sent, (size_t)sizes[i], 0, &to), sizes[i]);
    deliver(hosts->server.stack);
    const int64_t size = fastudp_recvfrom(hosts->server.socket, seen, 65536, FASTUDP_DONTWAIT, NULL);
    if (size != sizes[i]) fail_msg("%d bytes sent, %d received", sizes[i], (int)size);
    assert_memory_equal(seen, sent, (size_t)size);
  }
  free(sent);
  free(seen);
}

static void what_no_datagram_holds_is_refused(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr to = server_address();
  static char data[70000];
  const uint64_t before = stats_of(hosts->client.stack).tx_frames;
  assert_int_equal(fastudp_sendto(hosts->client.socket, data, 65508, 0, &to), -EMSGSIZE);
  assert_int_equal(fastudp_sendto(hosts->client.socket, data, 70000, 0, &to), -EMSGSIZE);
  const int always = IP_PMTUDISC_DO;
  assert_int_equal(fastudp_socket_set_option(hosts->client.socket, IPPROTO_IP, IP_MTU_DISCOVER, &always, sizeof always),
                   0);
  assert_int_equal(fastudp_sendto(hosts->client.socket, data, 1473, 0, &to), -EMSGSIZE);
  assert_int_equal(stats_of(hosts->client.stack).tx_frames, before);
  assert_int_equal(fastudp_sendto(hosts->client.socket, data, 1472, 0, &to), 1472);
}

static void a_short_buffer_cuts_and_says_so(void** state) {
  struct hosts* hosts = *state;
  char text[8] = "#######";
  send_text(hosts, "longer than that");
  send_text(hosts, "next");
  fastudp_msg message = {.data = text, .size = 4};
  assert_int_equal(fastudp_recv(hosts->server.socket, &message, 1, FASTUDP_DONTWAIT), 1);
  assert_int_equal(message.size, 4);
  assert_int_equal(message.length, 16);
  assert_int_equal(message.flags, FASTUDP_TRUNC);
  assert_memory_equal(text, "long###", 7);
  expect_text(hosts, "next");  // the rest of the first is gone
}

static void the_single_form_says_what_it_stored_or_the_full_length(void** state) {
  struct hosts* hosts = *state;
  char text[8] = "#######";
  send_text(hosts, "longer than that");
  send_text(hosts, "longer than that");
  send_text(hosts, "12");
  assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, 4, FASTUDP_DONTWAIT, NULL), 4);
  assert_memory_equal(text, "long###", 7);
  assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, 0, FASTUDP_TRUNC | FASTUDP_DONTWAIT, NULL), 16);
  assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, 8, FASTUDP_TRUNC | FASTUDP_DONTWAIT, NULL), 2);
  expect_nothing(hosts->server.socket);
}

static void an_empty_datagram_is_a_datagram(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr to = server_address();
  fastudp_addr from;
  char text[4] = "###";
  assert_int_equal(fastudp_sendto(hosts->client.socket, NULL, 0, 0, &to), 0);
  assert_int_equal(fastudp_sendto(hosts->client.socket, "", 0, 0, &to), 0);
  deliver(hosts->server.stack);
  assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, sizeof text, FASTUDP_DONTWAIT, &from), 0);
  assert_address(&from, "10.0.0.1:5000");
  assert_int_equal(text[0], '#');
  fastudp_msg message = {.data = text, .size = sizeof text};
  assert_int_equal(fastudp_recv(hosts->server.socket, &message, 1, FASTUDP_DONTWAIT), 1);
  assert_int_equal(message.length, 0);
  expect_nothing(hosts->server.socket);
}

static void peeking_leaves_it_there(void** state) {
  struct hosts* hosts = *state;
  char text[16];
  fastudp_addr from;
  send_text(hosts, "first");
  send_text(hosts, "second");
  for (int i = 0; i < 3; ++i) {
    const int flags = FASTUDP_PEEK | FASTUDP_DONTWAIT;
    assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, sizeof text, flags, &from), 5);
    assert_memory_equal(text, "first", 5);
    assert_address(&from, "10.0.0.1:5000");
  }
  assert_int_equal(
      fastudp_recvfrom(hosts->server.socket, text, 1, FASTUDP_PEEK | FASTUDP_TRUNC | FASTUDP_DONTWAIT, NULL), 5);
  expect_text(hosts, "first");
  expect_text(hosts, "second");
}

static void nothing_there_is_said_at_once(void** state) {
  struct hosts* hosts = *state;
  fastudp_msg message = {0};
  char text[4];
  assert_int_equal(fastudp_recv(hosts->server.socket, &message, 1, FASTUDP_DONTWAIT), -EAGAIN);
  assert_int_equal(fastudp_recv(hosts->server.socket, &message, 1, 0), -EAGAIN);  // time stands still: it can't block
  assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, sizeof text, 0, NULL), -EAGAIN);
  assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, sizeof text, FASTUDP_ERRQUEUE, NULL), -EAGAIN);
}

static void flags_that_are_not_spoken_are_refused(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr to = server_address();
  char text[8];
  fastudp_msg message = {.data = text, .size = sizeof text};
  send_text(hosts, "waits");
  static const int unknown[] = {0x1, 0x4, 0x10, 0x80000, 0x2000000, 0x40000000, (int)0x80000000};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; ++i) {
    const int flags = unknown[i] | FASTUDP_DONTWAIT;
    assert_int_equal(fastudp_sendto(hosts->client.socket, "x", 1, flags, &to), -EOPNOTSUPP);
    assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, sizeof text, flags, NULL), -EOPNOTSUPP);
    assert_int_equal(fastudp_recv(hosts->server.socket, &message, 1, flags), -EOPNOTSUPP);
    assert_int_equal(fastudp_borrow(hosts->server.socket, &message, 1, flags), -EOPNOTSUPP);
    message.peer = to;
    assert_int_equal(fastudp_send(hosts->client.socket, &message, 1, flags), -EOPNOTSUPP);
  }
  const int accepted = FASTUDP_NOSIGNAL | FASTUDP_CONFIRM | FASTUDP_DONTWAIT;
  assert_int_equal(fastudp_sendto(hosts->client.socket, "ok", 2, accepted, &to), 2);
  assert_int_equal(fastudp_recv(hosts->server.socket, &message, 1, FASTUDP_WAITFORONE | FASTUDP_NOSIGNAL), 1);
}

static void a_destination_is_needed_and_must_be_possible(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* socket = hosts->client.socket;
  const fastudp_addr no_port = at("10.0.0.2:0"), no_route = at("192.0.2.1:7"), broadcast = at("10.0.0.255:7");
  const fastudp_addr other = {.family = 6, .port = 7};
  fastudp_msg message = {.data = "x", .size = 1};
  assert_int_equal(fastudp_sendto(socket, "x", 1, 0, NULL), -EDESTADDRREQ);
  assert_int_equal(fastudp_send(socket, &message, 1, 0), -EDESTADDRREQ);
  assert_int_equal(fastudp_sendto(socket, "x", 1, 0, &no_port), -EINVAL);
  assert_int_equal(fastudp_sendto(socket, "x", 1, 0, &no_route), -ENETUNREACH);
  assert_int_equal(fastudp_sendto(socket, "x", 1, 0, &broadcast), -EACCES);
  assert_int_equal(fastudp_sendto(socket, "x", 1, 0, &other), -EAFNOSUPPORT);
  assert_int_equal(stats_of(hosts->client.stack).tx_frames, 0);

  const int yes = 1;
  assert_int_equal(fastudp_socket_set_option(socket, SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes), 0);
  assert_int_equal(fastudp_sendto(socket, "all", 3, 0, &broadcast), 3);
  deliver(hosts->server.stack);
  expect_text(hosts, "all");
}

static void sending_binds_first(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* socket = open_socket(hosts->client.stack, NULL);
  const fastudp_addr to = server_address();
  fastudp_addr local, from;
  char text[4];
  assert_int_equal(fastudp_sendto(socket, "x", 1, 0, &to), 1);
  assert_int_equal(fastudp_socket_local_addr(socket, &local), 0);
  assert_in_range(local.port, 32768, 60999);
  deliver(hosts->server.stack);
  assert_int_equal(fastudp_recvfrom(hosts->server.socket, text, sizeof text, 0, &from), 1);
  assert_int_equal(from.port, local.port);
  assert_int_equal(fastudp_socket_close(socket), 0);
}

static void a_closed_port_at_the_peer_is_an_error_once(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* socket = hosts->client.socket;
  const fastudp_addr nobody = at("10.0.0.2:99");
  assert_int_equal(fastudp_socket_connect(socket, &nobody), 0);
  for (int way = 0; way < 4; ++way) {
    assert_int_equal(fastudp_sendto(socket, "x", 1, 0, NULL), 1);
    deliver(hosts->server.stack);
    deliver(hosts->client.stack);
    assert_int_equal(fastudp_socket_poll(socket) & FASTUDP_ERROR, FASTUDP_ERROR);
    char text[4];
    fastudp_msg message = {.data = text, .size = 1};
    const int64_t status = way == 0   ? fastudp_sendto(socket, "x", 1, 0, NULL)
                           : way == 1 ? fastudp_send(socket, &message, 1, 0)
                           : way == 2 ? fastudp_recvfrom(socket, text, sizeof text, FASTUDP_DONTWAIT, NULL)
                                      : fastudp_borrow(socket, &message, 1, FASTUDP_DONTWAIT);
    assert_int_equal(status, -ECONNREFUSED);
    expect_nothing(socket);
    assert_int_equal(fastudp_socket_poll(socket) & FASTUDP_ERROR, 0);
  }
}

static void the_error_queue_tells_what_was_refused(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* socket = hosts->client.socket;
  const fastudp_addr nobody = at("10.0.0.2:99");
  const int yes = 1;
  assert_int_equal(fastudp_socket_set_option(socket, IPPROTO_IP, IP_RECVERR, &yes, sizeof yes), 0);
  assert_int_equal(fastudp_sendto(socket, "payload", 7, 0, &nobody), 7);
  deliver(hosts->server.stack);
  deliver(hosts->client.stack);

  char text[16], control[128];
  fastudp_msg message = {.data = text, .size = sizeof text, .control = control, .control_len = sizeof control};
  assert_int_equal(fastudp_recv(socket, &message, 1, FASTUDP_ERRQUEUE), 1);
  assert_int_equal(message.length, 7);
  assert_memory_equal(text, "payload", 7);
  assert_address(&message.peer, "10.0.0.2:99");
  assert_int_equal(message.flags & FASTUDP_ERRQUEUE, FASTUDP_ERRQUEUE);
  assert_in_range(message.control_len, sizeof(struct cmsghdr) + 16, sizeof control);
  assert_int_equal(fastudp_recv(socket, &message, 1, FASTUDP_ERRQUEUE), -EAGAIN);
}

// The first control message of what the server receives next, into `control`; the datagram's flags.
static uint32_t receive_control(struct hosts* hosts, void* control, uint32_t size, uint32_t* written) {
  char text[16];
  fastudp_msg message = {.data = text, .size = sizeof text, .control = control, .control_len = size};
  assert_int_equal(fastudp_recv(hosts->server.socket, &message, 1, FASTUDP_DONTWAIT), 1);
  *written = message.control_len;
  return message.flags;
}

static void control_messages_are_linux_s(void** state) {
  struct hosts* hosts = *state;
  const int yes = 1;
  assert_int_equal(fastudp_socket_set_option(hosts->server.socket, IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes), 0);
  send_text(hosts, "x");
  _Alignas(struct cmsghdr) char control[64];
  uint32_t written = 0;
  assert_int_equal(receive_control(hosts, control, sizeof control, &written), 0);
  assert_int_equal(written, CMSG_SPACE(sizeof(struct in_pktinfo)));
  const struct cmsghdr* header = (const struct cmsghdr*)control;
  assert_int_equal(header->cmsg_level, IPPROTO_IP);
  assert_int_equal(header->cmsg_type, IP_PKTINFO);
  assert_int_equal(header->cmsg_len, CMSG_LEN(sizeof(struct in_pktinfo)));
  struct in_pktinfo info;
  memcpy(&info, CMSG_DATA(header), sizeof info);
  assert_int_equal(ntohl(info.ipi_addr.s_addr), 0x0a000002);
}

static void control_that_does_not_fit_is_cut_and_said(void** state) {
  struct hosts* hosts = *state;
  const int yes = 1;
  assert_int_equal(fastudp_socket_set_option(hosts->server.socket, IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes), 0);
  _Alignas(struct cmsghdr) char control[64];
  for (uint32_t room = 0; room < CMSG_LEN(sizeof(struct in_pktinfo)); ++room) {
    send_text(hosts, "x");
    memset(control, 0x55, sizeof control);
    uint32_t written = 0;
    assert_int_equal(receive_control(hosts, control, room, &written), FASTUDP_CTRUNC);
    assert_in_range(written, 0, room);
    for (size_t i = room; i < sizeof control; ++i) assert_int_equal(control[i], 0x55);
  }
}

static void control_messages_that_are_not_known_are_refused(void** state) {
  struct hosts* hosts = *state;
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
  struct cmsghdr* header = (struct cmsghdr*)control;
  fastudp_msg message = {
      .data = "x", .size = 1, .peer = server_address(), .control = control, .control_len = sizeof control};
  *header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = IPPROTO_IP, .cmsg_type = 9999};
  assert_int_equal(fastudp_send(hosts->client.socket, &message, 1, 0), -EINVAL);

  header->cmsg_type = IP_TTL;
  const size_t wrong[] = {0, 1, sizeof *header - 1, sizeof control + 1, SIZE_MAX};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    header->cmsg_len = wrong[i];
    assert_int_equal(fastudp_send(hosts->client.socket, &message, 1, 0), -EINVAL);
  }
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int ttl = 3;
  memcpy(CMSG_DATA(header), &ttl, sizeof ttl);
  assert_int_equal(fastudp_send(hosts->client.socket, &message, 1, 0), 1);
}

static void a_sender_to_itself_is_heard(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr self = client_address();
  char text[8];
  fastudp_addr from;
  assert_int_equal(fastudp_sendto(hosts->client.socket, "self", 4, 0, &self), 4);
  deliver(hosts->client.stack);
  assert_int_equal(fastudp_recvfrom(hosts->client.socket, text, sizeof text, FASTUDP_DONTWAIT, &from), 4);
  assert_address(&from, "10.0.0.1:5000");
  assert_int_equal(stats_of(hosts->client.stack).tx_frames, 0);
}

static void null_pointers_are_refused(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* socket = hosts->server.socket;
  const fastudp_addr to = server_address();
  char text[4];
  fastudp_msg no_data = {.size = 4, .peer = to}, no_control = {.data = text, .size = 1, .peer = to, .control_len = 9};
  send_text(hosts, "kept");
  assert_int_equal(fastudp_send(NULL, &no_data, 1, 0), -EFAULT);
  assert_int_equal(fastudp_send(socket, NULL, 1, 0), -EFAULT);
  assert_int_equal(fastudp_send(socket, &no_data, 1, 0), -EFAULT);
  assert_int_equal(fastudp_send(socket, &no_control, 1, 0), -EFAULT);
  assert_int_equal(fastudp_sendto(NULL, "x", 1, 0, &to), -EFAULT);
  assert_int_equal(fastudp_sendto(socket, NULL, 1, 0, &to), -EFAULT);
  assert_int_equal(fastudp_recv(NULL, &no_data, 1, FASTUDP_DONTWAIT), -EFAULT);
  assert_int_equal(fastudp_recv(socket, NULL, 1, FASTUDP_DONTWAIT), -EFAULT);
  assert_int_equal(fastudp_recv(socket, &no_data, 1, FASTUDP_DONTWAIT), -EFAULT);
  assert_int_equal(fastudp_recvfrom(NULL, text, 4, FASTUDP_DONTWAIT, NULL), -EFAULT);
  assert_int_equal(fastudp_recvfrom(socket, NULL, 4, FASTUDP_DONTWAIT, NULL), -EFAULT);
  expect_text(hosts, "kept");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      still_test(bursts_of_every_size_arrive_in_order),
      still_test(an_empty_burst_is_nothing),
      still_test(a_burst_may_go_to_many_peers),
      still_test(a_failure_after_the_first_shows_in_the_next_call),
      still_test(every_size_arrives_whole),
      still_test(what_no_datagram_holds_is_refused),
      still_test(a_short_buffer_cuts_and_says_so),
      still_test(the_single_form_says_what_it_stored_or_the_full_length),
      still_test(an_empty_datagram_is_a_datagram),
      still_test(peeking_leaves_it_there),
      still_test(nothing_there_is_said_at_once),
      still_test(flags_that_are_not_spoken_are_refused),
      still_test(a_destination_is_needed_and_must_be_possible),
      still_test(sending_binds_first),
      still_test(a_closed_port_at_the_peer_is_an_error_once),
      still_test(the_error_queue_tells_what_was_refused),
      still_test(control_messages_are_linux_s),
      still_test(control_that_does_not_fit_is_cut_and_said),
      still_test(control_messages_that_are_not_known_are_refused),
      still_test(a_sender_to_itself_is_heard),
      still_test(null_pointers_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
