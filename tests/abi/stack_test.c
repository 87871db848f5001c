// A stack's tables and clock through the C API: addresses, routes, neighbours, polling, deadlines, info, statistics.

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hosts.h"

static int open_lone_stack(void** state) {
  *state = open_stack(fresh_uri("?announce=off"), 1);
  return 0;
}

static int close_lone_stack(void** state) { return fastudp_stack_close(*state); }

#define lone_test(name) cmocka_unit_test_setup_teardown(name, open_lone_stack, close_lone_stack)

static int add_address(fastudp_stack* stack, const char* text, unsigned prefix) {
  const fastudp_addr address = at(text);
  return fastudp_stack_add_address(stack, &address, prefix);
}

static int remove_address(fastudp_stack* stack, const char* text) {
  const fastudp_addr address = at(text);
  return fastudp_stack_remove_address(stack, &address);
}

static void addresses_come_and_go(void** state) {
  fastudp_stack* stack = *state;
  assert_int_equal(add_address(stack, "10.0.0.1", 24), 0);
  assert_int_equal(add_address(stack, "10.0.0.1", 24), -EEXIST);
  assert_int_equal(remove_address(stack, "10.0.0.2"), -EADDRNOTAVAIL);
  assert_int_equal(remove_address(stack, "10.0.0.1"), 0);
  assert_int_equal(remove_address(stack, "10.0.0.1"), -EADDRNOTAVAIL);
  assert_int_equal(add_address(stack, "10.0.0.1", 24), 0);
}

static void an_address_that_no_host_may_have_is_refused(void** state) {
  fastudp_stack* stack = *state;
  assert_int_equal(add_address(stack, "0.0.0.0", 24), -EINVAL);
  assert_int_equal(add_address(stack, "224.0.0.1", 24), -EINVAL);
  assert_int_equal(add_address(stack, "255.255.255.255", 24), -EINVAL);
  assert_int_equal(add_address(stack, "10.0.0.1", 33), -EINVAL);
  const fastudp_addr other = {.family = 7}, none = {0};
  assert_int_equal(fastudp_stack_add_address(stack, &other, 24), -EAFNOSUPPORT);
  assert_int_equal(fastudp_stack_add_address(stack, &none, 24), -EAFNOSUPPORT);
  assert_int_equal(stats_of(stack).tx_frames, 0);
}

static void sixty_four_addresses_fit(void** state) {
  fastudp_stack* stack = *state;
  fastudp_addr address = at("10.0.0.1");
  for (int i = 0; i < 64; ++i, ++address.bytes[2]) assert_int_equal(fastudp_stack_add_address(stack, &address, 24), 0);
  assert_int_equal(fastudp_stack_add_address(stack, &address, 24), -ENOSPC);
  assert_int_equal(remove_address(stack, "10.0.3.1"), 0);
  assert_int_equal(fastudp_stack_add_address(stack, &address, 24), 0);
}

static void a_removed_address_no_longer_receives(void** state) {
  struct hosts* hosts = *state;
  assert_int_equal(remove_address(hosts->server.stack, "10.0.0.2"), 0);
  send_text(hosts, "nobody home");
  expect_nothing(hosts->server.socket);
  assert_int_equal(add_address(hosts->server.stack, "10.0.0.2", 24), 0);
  send_text(hosts, "back again");
  expect_text(hosts, "back again");
}

static int add_route(fastudp_stack* stack, const char* text, unsigned prefix, const char* gateway) {
  const fastudp_addr destination = at(text), by = at(gateway ? gateway : "0.0.0.0");
  return fastudp_stack_add_route(stack, &destination, prefix, gateway ? &by : NULL);
}

static int remove_route(fastudp_stack* stack, const char* text, unsigned prefix) {
  const fastudp_addr destination = at(text);
  return fastudp_stack_remove_route(stack, &destination, prefix);
}

static void routes_come_and_go(void** state) {
  fastudp_stack* stack = *state;
  assert_int_equal(add_address(stack, "10.0.0.1", 24), 0);
  assert_int_equal(add_route(stack, "0.0.0.0", 0, "10.0.0.254"), 0);
  assert_int_equal(add_route(stack, "0.0.0.0", 0, "10.0.0.253"), -EEXIST);
  assert_int_equal(add_route(stack, "192.0.2.0", 24, NULL), 0);
  assert_int_equal(add_route(stack, "192.0.2.0", 25, "10.0.0.254"), 0);
  assert_int_equal(add_route(stack, "198.51.100.0", 24, "203.0.113.1"), -ENETUNREACH);
  assert_int_equal(add_route(stack, "192.0.2.1", 24, NULL), -EINVAL);
  assert_int_equal(add_route(stack, "192.0.2.1", 33, NULL), -EINVAL);
  assert_int_equal(remove_route(stack, "192.0.2.0", 26), -ESRCH);
  assert_int_equal(remove_route(stack, "192.0.2.0", 25), 0);
  assert_int_equal(remove_route(stack, "192.0.2.0", 25), -ESRCH);
  assert_int_equal(remove_route(stack, "192.0.2.0", 24), 0);
  assert_int_equal(remove_route(stack, "0.0.0.0", 0), 0);
}

static void the_route_table_is_bounded(void** state) {
  fastudp_stack* stack = *state;
  assert_int_equal(add_address(stack, "10.0.0.1", 24), 0);
  int status = 0;
  for (unsigned i = 0; i < 1000000 && status == 0; ++i) {
    const fastudp_addr destination = {.bytes = {20, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i},
                                      .family = FASTUDP_IPV4};
    status = fastudp_stack_add_route(stack, &destination, 32, NULL);
  }
  assert_int_equal(status, -ENOSPC);
  assert_int_equal(remove_route(stack, "20.0.0.0", 32), 0);
  assert_int_equal(add_route(stack, "30.0.0.0", 8, NULL), 0);
}

static void neighbours_come_and_go(void** state) {
  fastudp_stack* stack = *state;
  const fastudp_addr address = at("10.0.0.9"), stranger = at("10.0.0.8");
  const uint8_t mac[6] = {2, 0, 0, 0, 0, 9}, other[6] = {2, 0, 0, 0, 0, 10};
  uint8_t seen[6];
  uint32_t condition = 0;
  assert_int_equal(add_address(stack, "10.0.0.1", 24), 0);
  assert_int_equal(fastudp_stack_add_neighbour(stack, &address, mac), 0);
  assert_int_equal(fastudp_stack_get_neighbour(stack, &address, seen, &condition), 0);
  assert_memory_equal(seen, mac, 6);
  assert_int_equal(condition, FASTUDP_NEIGHBOUR_PERMANENT);
  assert_int_equal(stats_of(stack).neighbours, 1);

  assert_int_equal(fastudp_stack_add_neighbour(stack, &address, other), 0);  // replaces
  assert_int_equal(fastudp_stack_get_neighbour(stack, &address, seen, NULL), 0);
  assert_memory_equal(seen, other, 6);
  assert_int_equal(stats_of(stack).neighbours, 1);

  assert_int_equal(fastudp_stack_get_neighbour(stack, &stranger, seen, &condition), -ENOENT);
  assert_int_equal(fastudp_stack_remove_neighbour(stack, &stranger), -ENOENT);
  assert_int_equal(fastudp_stack_remove_neighbour(stack, &address), 0);
  assert_int_equal(fastudp_stack_get_neighbour(stack, &address, NULL, NULL), -ENOENT);
}

static void the_neighbour_table_is_bounded(void** state) {
  (void)state;
  fastudp_stack_config config = {.size = sizeof config, .hand_clock = 1, .neighbours = 64};
  fastudp_stack* stack = NULL;
  assert_int_equal(fastudp_stack_open(&stack, fresh_uri("?address=10.0.0.1/8&announce=off"), &config, NULL, 0), 0);
  const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
  int status = 0;
  for (unsigned i = 2; i < 1000 && status == 0; ++i) {
    const fastudp_addr address = {.bytes = {10, 1, (uint8_t)(i >> 8), (uint8_t)i}, .family = FASTUDP_IPV4};
    status = fastudp_stack_add_neighbour(stack, &address, mac);
  }
  assert_int_equal(status, -ENOSPC);
  assert_int_equal(stats_of(stack).neighbours, 64);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void resolution_parks_the_datagram_and_then_sends_it(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr to = server_address();
  uint8_t mac[6];
  uint32_t condition = 0;
  assert_int_equal(fastudp_stack_remove_neighbour(hosts->client.stack, &to), 0);
  assert_int_equal(fastudp_sendto(hosts->client.socket, "wait", 4, 0, &to), 4);
  assert_int_equal(stats_of(hosts->client.stack).parked, 1);
  assert_int_equal(fastudp_stack_get_neighbour(hosts->client.stack, &to, mac, &condition), 0);
  assert_int_equal(condition, FASTUDP_NEIGHBOUR_INCOMPLETE);
  assert_memory_equal(mac, "\0\0\0\0\0\0", 6);
  assert_in_range(fastudp_stack_deadline(hosts->client.stack), 1, 1000 * millisecond);

  deliver(hosts->server.stack);  // answers
  expect_nothing(hosts->server.socket);
  deliver(hosts->client.stack);  // sends what was parked
  assert_int_equal(stats_of(hosts->client.stack).parked, 0);
  assert_int_equal(fastudp_stack_get_neighbour(hosts->client.stack, &to, mac, &condition), 0);
  assert_int_equal(condition, FASTUDP_NEIGHBOUR_REACHABLE);
  deliver(hosts->server.stack);
  expect_text(hosts, "wait");
}

static void a_forgotten_neighbour_takes_what_waits_for_it_along(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr to = at("10.0.0.77:7");
  assert_int_equal(fastudp_sendto(hosts->client.socket, "wait", 4, 0, &to), 4);
  const fastudp_stack_stats before = stats_of(hosts->client.stack);
  assert_int_equal(before.parked, 1);
  assert_int_equal(fastudp_stack_remove_neighbour(hosts->client.stack, &to), 0);
  assert_int_equal(stats_of(hosts->client.stack).parked, 0);
  assert_int_equal(stats_of(hosts->client.stack).dropped, before.dropped + 1);
}

static void polling_counts_the_frames_it_takes(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr to = server_address();
  assert_int_equal(fastudp_stack_poll(hosts->server.stack, 0), 0);
  for (int i = 0; i < 5; ++i) assert_int_equal(fastudp_sendto(hosts->client.socket, "x", 1, 0, &to), 1);
  assert_int_equal(fastudp_stack_poll(hosts->server.stack, 2), 2);
  assert_int_equal(fastudp_stack_poll(hosts->server.stack, 100), 3);
  assert_int_equal(fastudp_stack_poll(hosts->server.stack, 100), 0);
  assert_int_equal(stats_of(hosts->server.stack).rx_frames, 5);
}

static void time_is_the_caller_s(void** state) {
  fastudp_stack* stack = *state;
  assert_int_equal(add_address(stack, "10.0.0.1", 24), 0);
  assert_true(fastudp_stack_deadline(stack) == INT64_MAX);
  assert_int_equal(fastudp_stack_set_time(stack, 5000LL * millisecond), 0);
  assert_int_equal(fastudp_stack_set_time(stack, 5000LL * millisecond), 0);
  assert_int_equal(fastudp_stack_set_time(stack, 5000LL * millisecond - 1), -EINVAL);

  // An address that never answers is asked for three times, a second apart.
  fastudp_socket* socket = open_socket(stack, NULL);
  const fastudp_addr to = at("10.0.0.2:7");
  assert_int_equal(fastudp_sendto(socket, "anyone?", 7, 0, &to), 7);
  assert_true(fastudp_stack_deadline(stack) == 1000LL * millisecond);
  assert_int_equal(fastudp_stack_set_time(stack, 5400LL * millisecond), 0);
  assert_true(fastudp_stack_deadline(stack) == 600LL * millisecond);
  assert_int_equal(fastudp_stack_poll(stack, 0), 0);
  assert_int_equal(stats_of(stack).tx_frames, 1);
  assert_int_equal(fastudp_stack_set_time(stack, 6000LL * millisecond), 0);
  assert_true(fastudp_stack_deadline(stack) == 0);
  assert_int_equal(fastudp_stack_poll(stack, 0), 0);
  assert_int_equal(stats_of(stack).tx_frames, 2);
  assert_int_equal(fastudp_socket_close(socket), 0);
}

static void a_stack_with_its_own_clock_takes_no_time(void** state) {
  struct hosts* hosts = *state;
  assert_int_equal(fastudp_stack_set_time(hosts->client.stack, 1), -EINVAL);
}

static void info_says_what_the_link_is(void** state) {
  struct hosts* hosts = *state;
  fastudp_stack_info info = {.size = sizeof info};
  assert_int_equal(fastudp_stack_get_info(hosts->client.stack, &info), 0);
  assert_string_equal(info.link, hosts->hub);
  assert_int_equal(info.mtu, 1500);
  assert_int_equal(info.mac[0] & 3, 2);  // locally administered, of one host
  assert_true(info.frames > 0);
  assert_in_range(info.frames_free, 1, info.frames);

  fastudp_stack_info other = {.size = sizeof other};
  assert_int_equal(fastudp_stack_get_info(hosts->server.stack, &other), 0);
  assert_memory_not_equal(info.mac, other.mac, 6);
}

static void info_fills_as_much_as_the_caller_knows(void** state) {
  fastudp_stack* stack = *state;
  fastudp_stack_info info;
  memset(&info, 0x55, sizeof info);
  info.size = offsetof(fastudp_stack_info, mtu);
  assert_int_equal(fastudp_stack_get_info(stack, &info), 0);
  assert_int_equal(strncmp(info.link, "mem:", 4), 0);
  assert_int_equal(info.mtu, 0x55555555);

  memset(&info, 0x55, sizeof info);
  for (size_t size = 0; size < offsetof(fastudp_stack_info, mac); ++size) {
    info.size = size;
    assert_int_equal(fastudp_stack_get_info(stack, &info), -EINVAL);
  }
  assert_int_equal(info.link[0], 0x55);
}

static void statistics_count_datagrams_and_frames(void** state) {
  struct hosts* hosts = *state;
  const fastudp_stack_stats sender = stats_of(hosts->client.stack), receiver = stats_of(hosts->server.stack);
  send_text(hosts, "twelve bytes");
  expect_text(hosts, "twelve bytes");
  const fastudp_stack_stats sent = stats_of(hosts->client.stack), received = stats_of(hosts->server.stack);
  assert_int_equal(sent.tx_datagrams - sender.tx_datagrams, 1);
  assert_int_equal(sent.tx_frames - sender.tx_frames, 1);
  assert_int_equal(sent.tx_bytes - sender.tx_bytes, 14 + 20 + 8 + 12);
  assert_int_equal(received.rx_datagrams - receiver.rx_datagrams, 1);
  assert_int_equal(received.rx_frames - receiver.rx_frames, 1);
  assert_int_equal(received.rx_bytes - receiver.rx_bytes, 14 + 20 + 8 + 12);
  assert_int_equal(received.dropped, 0);
  assert_int_equal(received.sockets, 1);
}

static void statistics_fill_as_much_as_the_caller_knows(void** state) {
  fastudp_stack* stack = *state;
  fastudp_stack_stats stats;
  memset(&stats, 0x55, sizeof stats);
  stats.size = offsetof(fastudp_stack_stats, tx_datagrams);
  assert_int_equal(fastudp_stack_get_stats(stack, &stats), 0);
  assert_int_equal(stats.rx_datagrams, 0);
  assert_true(stats.tx_datagrams == 0x5555555555555555);
  stats.size = offsetof(fastudp_stack_stats, tx_datagrams) - 1;
  assert_int_equal(fastudp_stack_get_stats(stack, &stats), -EINVAL);
  stats.size = 0;
  assert_int_equal(fastudp_stack_get_stats(stack, &stats), -EINVAL);
}

static void drops_are_counted_by_reason(void** state) {
  struct hosts* hosts = *state;
  uint64_t drops[200];
  const int count = fastudp_stack_get_drops(hosts->server.stack, drops, 200);
  assert_null(fastudp_drop_name((size_t)count));
  assert_non_null(fastudp_drop_name((size_t)count - 1));

  const fastudp_addr nobody = at("10.0.0.2:99");
  assert_int_equal(fastudp_sendto(hosts->client.socket, "x", 1, 0, &nobody), 1);
  deliver(hosts->server.stack);
  assert_int_equal(fastudp_stack_get_drops(hosts->server.stack, drops, 200), count);
  uint64_t sum = 0;
  for (int i = 0; i < count; ++i) {
    const int expected = strcmp(fastudp_drop_name((size_t)i), "no_socket") == 0;
    if (drops[i] != (uint64_t)expected) fail_msg("%s: %d", fastudp_drop_name((size_t)i), (int)drops[i]);
    sum += drops[i];
  }
  assert_int_equal(stats_of(hosts->server.stack).dropped, sum);
}

static size_t index_of(const char* reason) {
  size_t i = 0;
  while (fastudp_drop_name(i) && strcmp(fastudp_drop_name(i), reason) != 0) ++i;
  return i;
}

// The receiver never looks, and closes: what its ring had no room for is counted all the same.
static void losses_are_counted_when_a_stack_is_closed(void** state) {
  (void)state;
  enum { ring = 64, many = 100 };
  char file[] = "/tmp/fastudp-counters-XXXXXX";
  close(mkstemp(file));
  const fastudp_stack_config config = {.size = sizeof config, .stats_file = file};
  const char* deaf = "mem:deaf?announce=off&ring=64&mac=02:00:00:00:00:02&address=10.0.0.2/24";
  fastudp_stack* receiver;
  assert_int_equal(fastudp_stack_open(&receiver, deaf, &config, NULL, 0), 0);
  fastudp_stack* sender = open_stack("mem:deaf?announce=off&address=10.0.0.1/24", 0);
  const uint8_t mac[6] = {2, 0, 0, 0, 0, 2};
  fastudp_addr there;
  assert_int_equal(fastudp_addr_parse("10.0.0.2:7", &there), 0);
  assert_int_equal(fastudp_stack_add_neighbour(sender, &there, mac), 0);
  fastudp_socket* socket = open_socket(sender, "10.0.0.1:0");
  for (int i = 0; i < many; ++i) assert_int_equal(fastudp_sendto(socket, "x", 1, 0, &there), 1);
  assert_int_equal(fastudp_stack_close(receiver), 0);
  fastudp_stack_stats stats = {.size = sizeof stats};
  uint64_t drops[64];
  assert_int_equal(fastudp_stats_read(file, &stats, drops, 64, NULL, 0, NULL, 0), 1);
  assert_int_equal(drops[index_of("link_rx_full")], many - ring);
  assert_int_equal(stats.dropped, many - ring);
  unlink(file);
}

static void drops_are_stored_as_far_as_there_is_room(void** state) {
  fastudp_stack* stack = *state;
  uint64_t drops[2] = {77, 77};
  assert_true(fastudp_stack_get_drops(stack, drops, 1) > 2);
  assert_int_equal(drops[0], 0);
  assert_int_equal(drops[1], 77);
  assert_true(fastudp_stack_get_drops(stack, NULL, 0) > 2);
}

static void waiting_on_a_still_clock_only_looks(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr to = server_address();
  assert_int_equal(fastudp_stack_wait(hosts->server.stack, -1), 0);
  assert_int_equal(fastudp_sendto(hosts->client.socket, "x", 1, 0, &to), 1);
  assert_int_equal(fastudp_stack_wait(hosts->server.stack, -1), 1);
  deliver(hosts->server.stack);
  assert_int_equal(fastudp_stack_wait(hosts->server.stack, -1), 0);
}

static void null_pointers_are_refused(void** state) {
  fastudp_stack* stack = *state;
  const fastudp_addr address = at("10.0.0.1");
  const uint8_t mac[6] = {2};
  uint8_t seen[6];
  uint32_t condition;
  fastudp_stack_info info = {.size = sizeof info};
  fastudp_stack_stats stats = {.size = sizeof stats};
  uint64_t drops[1];
  assert_int_equal(fastudp_stack_add_address(NULL, &address, 24), -EFAULT);
  assert_int_equal(fastudp_stack_add_address(stack, NULL, 24), -EFAULT);
  assert_int_equal(fastudp_stack_remove_address(NULL, &address), -EFAULT);
  assert_int_equal(fastudp_stack_remove_address(stack, NULL), -EFAULT);
  assert_int_equal(fastudp_stack_add_route(NULL, &address, 24, NULL), -EFAULT);
  assert_int_equal(fastudp_stack_add_route(stack, NULL, 24, NULL), -EFAULT);
  assert_int_equal(fastudp_stack_remove_route(NULL, &address, 24), -EFAULT);
  assert_int_equal(fastudp_stack_remove_route(stack, NULL, 24), -EFAULT);
  assert_int_equal(fastudp_stack_add_neighbour(NULL, &address, mac), -EFAULT);
  assert_int_equal(fastudp_stack_add_neighbour(stack, NULL, mac), -EFAULT);
  assert_int_equal(fastudp_stack_add_neighbour(stack, &address, NULL), -EFAULT);
  assert_int_equal(fastudp_stack_remove_neighbour(NULL, &address), -EFAULT);
  assert_int_equal(fastudp_stack_remove_neighbour(stack, NULL), -EFAULT);
  assert_int_equal(fastudp_stack_get_neighbour(NULL, &address, seen, &condition), -EFAULT);
  assert_int_equal(fastudp_stack_get_neighbour(stack, NULL, seen, &condition), -EFAULT);
  assert_int_equal(fastudp_stack_poll(NULL, 0), -EFAULT);
  assert_int_equal(fastudp_stack_wait(NULL, 0), -EFAULT);
  assert_int_equal(fastudp_stack_fd(NULL), -EFAULT);
  assert_int_equal(fastudp_stack_deadline(NULL), -EFAULT);
  assert_int_equal(fastudp_stack_set_time(NULL, 0), -EFAULT);
  assert_int_equal(fastudp_stack_get_info(NULL, &info), -EFAULT);
  assert_int_equal(fastudp_stack_get_info(stack, NULL), -EFAULT);
  assert_int_equal(fastudp_stack_get_stats(NULL, &stats), -EFAULT);
  assert_int_equal(fastudp_stack_get_stats(stack, NULL), -EFAULT);
  assert_int_equal(fastudp_stack_get_drops(NULL, drops, 1), -EFAULT);
  assert_int_equal(fastudp_stack_get_drops(stack, NULL, 1), -EFAULT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      lone_test(addresses_come_and_go),
      lone_test(an_address_that_no_host_may_have_is_refused),
      lone_test(sixty_four_addresses_fit),
      still_test(a_removed_address_no_longer_receives),
      lone_test(routes_come_and_go),
      lone_test(the_route_table_is_bounded),
      lone_test(neighbours_come_and_go),
      cmocka_unit_test(the_neighbour_table_is_bounded),
      still_test(resolution_parks_the_datagram_and_then_sends_it),
      still_test(a_forgotten_neighbour_takes_what_waits_for_it_along),
      still_test(polling_counts_the_frames_it_takes),
      lone_test(time_is_the_caller_s),
      live_test(a_stack_with_its_own_clock_takes_no_time),
      still_test(info_says_what_the_link_is),
      lone_test(info_fills_as_much_as_the_caller_knows),
      still_test(statistics_count_datagrams_and_frames),
      lone_test(statistics_fill_as_much_as_the_caller_knows),
      still_test(drops_are_counted_by_reason),
      cmocka_unit_test(losses_are_counted_when_a_stack_is_closed),
      lone_test(drops_are_stored_as_far_as_there_is_room),
      still_test(waiting_on_a_still_clock_only_looks),
      lone_test(null_pointers_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
