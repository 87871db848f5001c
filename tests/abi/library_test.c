// The parts of the C API that need no stack: frozen layouts, constants, the version, addresses as text, drop reasons.

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "hosts.h"

#define FIELD(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field " has moved")

_Static_assert(sizeof(fastudp_addr) == 24, "fastudp_addr is frozen");
FIELD(fastudp_addr, bytes, 0);
FIELD(fastudp_addr, scope_id, 16);
FIELD(fastudp_addr, port, 20);
FIELD(fastudp_addr, family, 22);
FIELD(fastudp_addr, reserved, 23);

_Static_assert(sizeof(fastudp_msg) == 64, "fastudp_msg is frozen");
FIELD(fastudp_msg, data, 0);
FIELD(fastudp_msg, size, 8);
FIELD(fastudp_msg, length, 12);
FIELD(fastudp_msg, peer, 16);
FIELD(fastudp_msg, control, 40);
FIELD(fastudp_msg, control_len, 48);
FIELD(fastudp_msg, flags, 52);
FIELD(fastudp_msg, frame, 56);

// These grow at their end only, so what they have stays where it is.
FIELD(fastudp_stack_config, size, 0);
FIELD(fastudp_stack_config, seed, 8);
FIELD(fastudp_stack_config, hand_clock, 16);
FIELD(fastudp_stack_config, neighbours, 20);
FIELD(fastudp_stack_config, spin_us, 24);
FIELD(fastudp_stack_info, size, 0);
FIELD(fastudp_stack_info, link, 8);
FIELD(fastudp_stack_info, mac, 72);
FIELD(fastudp_stack_info, mtu, 80);
FIELD(fastudp_stack_info, frames, 84);
FIELD(fastudp_stack_info, frames_free, 88);
FIELD(fastudp_stack_stats, size, 0);
FIELD(fastudp_stack_stats, rx_datagrams, 8);
FIELD(fastudp_stack_stats, tx_datagrams, 16);
FIELD(fastudp_stack_stats, rx_frames, 24);
FIELD(fastudp_stack_stats, rx_bytes, 32);
FIELD(fastudp_stack_stats, tx_frames, 40);
FIELD(fastudp_stack_stats, tx_bytes, 48);
FIELD(fastudp_stack_stats, dropped, 56);
FIELD(fastudp_stack_stats, neighbours, 64);
FIELD(fastudp_stack_stats, parked, 72);
FIELD(fastudp_stack_stats, sockets, 80);
FIELD(fastudp_stack_stats, address_conflicts, 88);
FIELD(fastudp_stack_stats, lock_acquisitions, 96);

static void constants_are_linux_s(void** state) {
  (void)state;
  assert_int_equal(FASTUDP_PEEK, MSG_PEEK);
  assert_int_equal(FASTUDP_CTRUNC, MSG_CTRUNC);
  assert_int_equal(FASTUDP_TRUNC, MSG_TRUNC);
  assert_int_equal(FASTUDP_DONTWAIT, MSG_DONTWAIT);
  assert_int_equal(FASTUDP_CONFIRM, MSG_CONFIRM);
  assert_int_equal(FASTUDP_ERRQUEUE, MSG_ERRQUEUE);
  assert_int_equal(FASTUDP_NOSIGNAL, MSG_NOSIGNAL);
  assert_int_equal(FASTUDP_MORE, MSG_MORE);
  assert_int_equal(FASTUDP_ZEROCOPY, MSG_ZEROCOPY);
  assert_int_equal(FASTUDP_WAITFORONE, 0x10000);  // MSG_WAITFORONE is for _GNU_SOURCE only
  assert_int_equal(FASTUDP_READABLE, POLLIN);
  assert_int_equal(FASTUDP_WRITABLE, POLLOUT);
  assert_int_equal(FASTUDP_ERROR, POLLERR);
  assert_int_equal(FASTUDP_HANGUP, POLLHUP);
  assert_int_equal(FASTUDP_SHUT_RD, SHUT_RD);
  assert_int_equal(FASTUDP_SHUT_WR, SHUT_WR);
  assert_int_equal(FASTUDP_SHUT_RDWR, SHUT_RDWR);
}

static void version_has_three_numbers(void** state) {
  (void)state;
  const char* version = fastudp_version();
  assert_non_null(version);
  assert_int_equal(strspn(version, "0123456789."), strlen(version));
  const char* first = strchr(version, '.');
  assert_non_null(first);
  assert_non_null(strchr(first + 1, '.'));
  assert_ptr_equal(version, fastudp_version());
}

static void parse_reads_the_three_forms(void** state) {
  (void)state;
  fastudp_addr address;
  memset(&address, 0xff, sizeof address);
  assert_int_equal(fastudp_addr_parse("10.1.2.3:53", &address), 0);
  const fastudp_addr whole = {.bytes = {10, 1, 2, 3}, .port = 53, .family = FASTUDP_IPV4};
  assert_memory_equal(&address, &whole, sizeof whole);

  assert_int_equal(fastudp_addr_parse("255.255.255.255", &address), 0);
  const fastudp_addr portless = {.bytes = {255, 255, 255, 255}, .family = FASTUDP_IPV4};
  assert_memory_equal(&address, &portless, sizeof portless);

  assert_int_equal(fastudp_addr_parse(":65535", &address), 0);
  const fastudp_addr any = {.port = 65535, .family = FASTUDP_IPV4};
  assert_memory_equal(&address, &any, sizeof any);
}

static void parse_refuses_everything_else(void** state) {
  (void)state;
  static const char* const wrong[] = {"",
                                      ":",
                                      "10.0.0",
                                      "10.0.0.0.1",
                                      "10.0.0.256",
                                      "10.0.0.1:",
                                      ":65536",
                                      "10.0.0.1:-1",
                                      "10.0.0.1: 1",
                                      " 10.0.0.1",
                                      "10.0.0.1 ",
                                      "10.0.0.1:1x",
                                      "10..0.1",
                                      "10.0.0.1/24",
                                      "host:1",
                                      "[10.0.0.1]x:1",
                                      "[::1",
                                      "[::1]1",
                                      "[::1]:65536",
                                      "::1]:1",
                                      ":::1",
                                      "1:2",
                                      "fe80::1%no-such-interface",
                                      "fe80::1%",
                                      "10.0.0.1%1",
                                      "0x0a.0.0.1",
                                      "10.0.0.1:999999999999",
                                      "-1.0.0.1",
                                      "10.0.0.+1"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    fastudp_addr address;
    if (fastudp_addr_parse(wrong[i], &address) != -EINVAL) fail_msg("'%s' was read as an address", wrong[i]);
  }
}

static void parse_needs_both_pointers(void** state) {
  (void)state;
  fastudp_addr address;
  assert_int_equal(fastudp_addr_parse(NULL, &address), -EFAULT);
  assert_int_equal(fastudp_addr_parse("10.0.0.1", NULL), -EFAULT);
}

static void format_writes_address_and_port(void** state) {
  (void)state;
  const fastudp_addr address = at("10.0.0.1:53");
  char text[32];
  assert_int_equal(fastudp_addr_format(&address, text, sizeof text), 11);
  assert_string_equal(text, "10.0.0.1:53");
  const fastudp_addr longest = at("255.255.255.255:65535");
  assert_int_equal(fastudp_addr_format(&longest, text, 22), 21);
  assert_string_equal(text, "255.255.255.255:65535");
}

static void format_says_when_it_does_not_fit(void** state) {
  (void)state;
  const fastudp_addr address = at("10.0.0.1:53");
  char text[16] = "untouched";
  assert_int_equal(fastudp_addr_format(&address, text, 12), 11);
  for (size_t size = 0; size < 12; ++size) {
    memset(text, '#', sizeof text);
    assert_int_equal(fastudp_addr_format(&address, text, size), -ENOSPC);
    assert_int_equal(text[size], '#');
  }
}

static void format_refuses_what_has_no_text(void** state) {
  (void)state;
  char text[32];
  const fastudp_addr nothing = {0}, other = {.family = 99};
  assert_int_equal(fastudp_addr_format(&nothing, text, sizeof text), -EAFNOSUPPORT);
  assert_int_equal(fastudp_addr_format(&other, text, sizeof text), -EAFNOSUPPORT);
  const fastudp_addr address = at("10.0.0.1:53");
  assert_int_equal(fastudp_addr_format(NULL, text, sizeof text), -EFAULT);
  assert_int_equal(fastudp_addr_format(&address, NULL, sizeof text), -EFAULT);
}

static int is_layer(const char* text) {
  const char* const layers[] = {"link", "memory", "stack", "socket"};
  for (size_t i = 0; i < sizeof layers / sizeof *layers; ++i) {
    if (strcmp(layers[i], text) == 0) return 1;
  }
  return 0;
}

static void every_drop_reason_has_a_name_a_layer_and_a_text(void** state) {
  (void)state;
  size_t count = 0;
  while (fastudp_drop_name(count)) {
    assert_non_null(fastudp_drop_layer(count));
    assert_true(is_layer(fastudp_drop_layer(count)));
    assert_non_null(fastudp_drop_text(count));
    assert_true(strlen(fastudp_drop_text(count)) > strlen("why"));
    for (size_t i = 0; i < count; ++i) assert_string_not_equal(fastudp_drop_name(i), fastudp_drop_name(count));
    ++count;
  }
  assert_true(count > 10);
  assert_null(fastudp_drop_text(count));
  assert_null(fastudp_drop_layer(count));
  assert_null(fastudp_drop_name(SIZE_MAX));
  assert_null(fastudp_drop_layer(SIZE_MAX));
  assert_null(fastudp_drop_text(SIZE_MAX));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(constants_are_linux_s),
      cmocka_unit_test(version_has_three_numbers),
      cmocka_unit_test(parse_reads_the_three_forms),
      cmocka_unit_test(parse_refuses_everything_else),
      cmocka_unit_test(parse_needs_both_pointers),
      cmocka_unit_test(format_writes_address_and_port),
      cmocka_unit_test(format_says_when_it_does_not_fit),
      cmocka_unit_test(format_refuses_what_has_no_text),
      cmocka_unit_test(every_drop_reason_has_a_name_a_layer_and_a_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
