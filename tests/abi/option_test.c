// Socket options by Linux's numbers: whatever is set and read here is set and read on a socket of the kernel too, with
// every size that a caller may give, and both must agree.

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "hosts.h"

struct option {
  int level, name;
  const char* text;
};

#define OPTION(level, name) \
  { level, name, #name }

static const struct option numbers[] = {
    OPTION(SOL_SOCKET, SO_REUSEADDR),     OPTION(SOL_SOCKET, SO_REUSEPORT), OPTION(SOL_SOCKET, SO_BROADCAST),
    OPTION(SOL_SOCKET, SO_RCVBUF),        OPTION(SOL_SOCKET, SO_SNDBUF),    OPTION(IPPROTO_IP, IP_TTL),
    OPTION(IPPROTO_IP, IP_TOS),           OPTION(IPPROTO_IP, IP_RECVERR),   OPTION(IPPROTO_IP, IP_MTU_DISCOVER),
    OPTION(IPPROTO_IP, IP_PKTINFO),       OPTION(IPPROTO_IP, IP_RECVTTL),   OPTION(IPPROTO_IP, IP_RECVTOS),
    OPTION(IPPROTO_IP, IP_MULTICAST_TTL),
};

static const struct option read_only[] = {
    OPTION(SOL_SOCKET, SO_TYPE),  OPTION(SOL_SOCKET, SO_DOMAIN),     OPTION(SOL_SOCKET, SO_PROTOCOL),
    OPTION(SOL_SOCKET, SO_ERROR), OPTION(SOL_SOCKET, SO_ACCEPTCONN), OPTION(IPPROTO_IP, IP_MTU),
};

enum { widest = 24 };

// Ours and the kernel's socket, to be asked the same.
struct twins {
  fastudp_stack* stack;
  fastudp_socket* ours;
  int kernel;
};

static struct twins open_twins(void) {
  struct twins twins;
  twins.stack = open_stack(fresh_uri("?address=10.0.0.1/24&announce=off"), 1);
  twins.ours = open_socket(twins.stack, NULL);
  twins.kernel = socket(AF_INET, SOCK_DGRAM, 0);
  assert_true(twins.kernel >= 0);
  return twins;
}

static void close_twins(struct twins* twins) {
  close(twins->kernel);
  assert_int_equal(fastudp_socket_close(twins->ours), 0);
  assert_int_equal(fastudp_stack_close(twins->stack), 0);
}

static int errno_of(int result) { return result < 0 ? -errno : 0; }

static void get_both(const struct twins* twins, const struct option* option, size_t size) {
  unsigned char expected[widest], seen[widest];
  memset(expected, 0x55, widest);
  memset(seen, 0x55, widest);
  socklen_t expected_size = (socklen_t)size;
  size_t seen_size = size;
  const int expected_status =
      errno_of(getsockopt(twins->kernel, option->level, option->name, expected, &expected_size));
  const int status = fastudp_socket_get_option(twins->ours, option->level, option->name, seen, &seen_size);
  if (status != expected_status) {
    fail_msg("get %s with %zu bytes: %d, the kernel says %d", option->text, size, status, expected_status);
  }
  if (status == 0 && (seen_size != expected_size || memcmp(seen, expected, widest) != 0)) {
    fail_msg("get %s with %zu bytes: %zu bytes %02x%02x%02x%02x, the kernel says %u bytes %02x%02x%02x%02x",
             option->text, size, seen_size, seen[0], seen[1], seen[2], seen[3], expected_size, expected[0], expected[1],
             expected[2], expected[3]);
  }
}

static void get_both_in_all_sizes(const struct twins* twins, const struct option* option) {
  for (size_t size = 0; size <= widest; ++size) get_both(twins, option, size);
}

static void set_both(const struct twins* twins, const struct option* option, const void* value, size_t size) {
  const int expected = errno_of(setsockopt(twins->kernel, option->level, option->name, value, (socklen_t)size));
  const int status = fastudp_socket_set_option(twins->ours, option->level, option->name, value, size);
  int number = 0;
  memcpy(&number, value, size < sizeof number ? size : sizeof number);
  if (status != expected) {
    fail_msg("set %s to %d with %zu bytes: %d, the kernel says %d", option->text, number, size, status, expected);
  }
}

static void numbers_are_set_and_read_as_the_kernel_does(void** state) {
  (void)state;
  static const int values[] = {0,   1,   2,    3,    4,    5,    7,     63,     64, 127, 128,
                               255, 256, 1000, 2303, 2304, 5000, 65535, 100000, -1, -2};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
    struct twins twins = open_twins();
    const int buffer = strstr(numbers[i].text, "BUF") != NULL;  // how large at first and at most is the host's choice
    if (!buffer) get_both_in_all_sizes(&twins, &numbers[i]);
    for (size_t j = 0; j < sizeof values / sizeof *values; ++j) {
      if (buffer && values[j] < 0) continue;
      set_both(&twins, &numbers[i], &values[j], sizeof values[j]);
      get_both_in_all_sizes(&twins, &numbers[i]);
    }
    close_twins(&twins);
  }
}

static void numbers_of_any_size_are_set_as_the_kernel_does(void** state) {
  (void)state;
  const unsigned char value[widest] = {1};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
    struct twins twins = open_twins();
    for (size_t size = 0; size <= widest; ++size) {
      set_both(&twins, &numbers[i], value, size);
      get_both(&twins, &numbers[i], strstr(numbers[i].text, "BUF") ? 0 : sizeof(int));
    }
    close_twins(&twins);
  }
}

static void what_can_only_be_read_says_what_the_kernel_says(void** state) {
  (void)state;
  struct twins twins = open_twins();
  const int value = 1;
  for (size_t i = 0; i < sizeof read_only / sizeof *read_only; ++i) {
    get_both_in_all_sizes(&twins, &read_only[i]);
    set_both(&twins, &read_only[i], &value, sizeof value);
  }
  close_twins(&twins);
}

static void timeouts_are_set_and_read_as_the_kernel_does(void** state) {
  (void)state;
  static const struct option timeouts[] = {OPTION(SOL_SOCKET, SO_RCVTIMEO), OPTION(SOL_SOCKET, SO_SNDTIMEO)};
  static const struct timeval values[] = {{1, 0}, {0, 500000}, {0, 0}, {3600, 8000}, {0, 1000000}, {0, -1}, {-1, 0}};
  struct twins twins = open_twins();
  for (size_t i = 0; i < 2; ++i) {
    get_both_in_all_sizes(&twins, &timeouts[i]);
    for (size_t j = 0; j < sizeof values / sizeof *values; ++j) {
      set_both(&twins, &timeouts[i], &values[j], sizeof values[j]);
      get_both_in_all_sizes(&twins, &timeouts[i]);
    }
    for (size_t size = 0; size < sizeof(struct timeval); ++size) set_both(&twins, &timeouts[i], &values[0], size);
  }
  close_twins(&twins);
}

static void path_mtu_is_known_once_connected(void** state) {
  struct hosts* hosts = *state;
  const fastudp_addr to = server_address();
  int mtu = 0;
  size_t size = sizeof mtu;
  assert_int_equal(fastudp_socket_get_option(hosts->client.socket, IPPROTO_IP, IP_MTU, &mtu, &size), -ENOTCONN);
  assert_int_equal(fastudp_socket_connect(hosts->client.socket, &to), 0);
  size = sizeof mtu;
  assert_int_equal(fastudp_socket_get_option(hosts->client.socket, IPPROTO_IP, IP_MTU, &mtu, &size), 0);
  assert_int_equal(size, sizeof mtu);
  assert_int_equal(mtu, 1500);
}

static void what_is_no_option_is_said_to_be_none(void** state) {
  struct hosts* hosts = *state;
  static const struct option none[] = {
      {SOL_SOCKET, 9999, "9999"}, {IPPROTO_IP, 9999, "9999"}, {IPPROTO_UDP, 9999, "9999"}};
  int value = 1;
  for (size_t i = 0; i < sizeof none / sizeof *none; ++i) {
    size_t size = sizeof value;
    assert_int_equal(fastudp_socket_set_option(hosts->client.socket, none[i].level, none[i].name, &value, size),
                     -ENOPROTOOPT);
    assert_int_equal(fastudp_socket_get_option(hosts->client.socket, none[i].level, none[i].name, &value, &size),
                     -ENOPROTOOPT);
  }
  char why[200] = "";
  assert_true(fastudp_socket_why(hosts->client.socket, why, sizeof why) > 0);
  assert_non_null(strstr(why, "9999"));
}

static void null_pointers_are_refused(void** state) {
  struct hosts* hosts = *state;
  fastudp_socket* socket = hosts->client.socket;
  int value = 1;
  size_t size = sizeof value;
  assert_int_equal(fastudp_socket_set_option(NULL, SOL_SOCKET, SO_BROADCAST, &value, size), -EFAULT);
  assert_int_equal(fastudp_socket_set_option(socket, SOL_SOCKET, SO_BROADCAST, NULL, size), -EFAULT);
  assert_int_equal(fastudp_socket_get_option(NULL, SOL_SOCKET, SO_BROADCAST, &value, &size), -EFAULT);
  assert_int_equal(fastudp_socket_get_option(socket, SOL_SOCKET, SO_BROADCAST, NULL, &size), -EFAULT);
  assert_int_equal(fastudp_socket_get_option(socket, SOL_SOCKET, SO_BROADCAST, &value, NULL), -EFAULT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_are_set_and_read_as_the_kernel_does),
      cmocka_unit_test(numbers_of_any_size_are_set_as_the_kernel_does),
      cmocka_unit_test(what_can_only_be_read_says_what_the_kernel_says),
      cmocka_unit_test(timeouts_are_set_and_read_as_the_kernel_does),
      still_test(path_mtu_is_known_once_connected),
      still_test(what_is_no_option_is_said_to_be_none),
      still_test(null_pointers_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
