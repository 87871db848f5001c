// Opening and closing a stack: URIs, configurations, what is said when they are wrong, what keeps a stack open.

#include <errno.h>
#include <string.h>

#include "hosts.h"

static void a_stack_opens_and_closes(void** state) {
  (void)state;
  fastudp_stack* stack = NULL;
  char why[100] = "";
  assert_int_equal(fastudp_stack_open(&stack, fresh_uri(""), NULL, why, sizeof why), 0);
  assert_non_null(stack);
  assert_int_equal(fastudp_stack_close(stack), 0);
  assert_int_equal(fastudp_stack_close(NULL), 0);
}

static void why_may_be_left_out(void** state) {
  (void)state;
  fastudp_stack* stack = NULL;
  assert_int_equal(fastudp_stack_open(&stack, "nonsense", NULL, NULL, 0), -EINVAL);
  assert_int_equal(fastudp_stack_open(&stack, fresh_uri(""), NULL, NULL, 0), 0);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void null_pointers_are_refused(void** state) {
  (void)state;
  fastudp_stack* stack = NULL;
  char why[100];
  assert_int_equal(fastudp_stack_open(NULL, fresh_uri(""), NULL, why, sizeof why), -EFAULT);
  assert_int_equal(fastudp_stack_open(&stack, NULL, NULL, why, sizeof why), -EFAULT);
}

// Each is refused with EINVAL, and the explanation names what is wrong with it.
static void a_wrong_uri_is_explained(void** state) {
  (void)state;
  static const struct {
    const char *uri, *named;
  } wrong[] = {
      {"", "URI"},
      {"nonsense", "nonsense"},
      {":lan", "URI"},
      {"carrier-pigeon:lan", "carrier-pigeon"},
      {"mem:lan?bogus=1", "bogus"},
      {"mem:lan?address=10.0.0.1/24&shoe_size=46", "shoe_size"},
      {"mem:lan?mtu", "mtu"},
      {"mem:lan?=1", "=1"},
      {"mem:lan?mtu=1500&mtu=1500", "mtu"},
      {"mem:lan?mtu=many", "mtu"},
      {"mem:lan?mtu=10", "mtu"},
      {"mem:lan?mtu=-1", "mtu"},
      {"mem:lan?mtu=99999999999999999999", "mtu"},
      {"mem:lan?address=10.0.0.300/24", "address"},
      {"mem:lan?address=10.0.0.1", "address"},
      {"mem:lan?address=10.0.0.1/33", "address"},
      {"mem:lan?address=224.0.0.1/24", "address"},
      {"mem:lan?address=10.0.0.1/24&gateway=somewhere", "gateway"},
      {"mem:lan?address=10.0.0.1/24&gateway=10.0.1.1", "gateway"},
      {"mem:lan?mac=02:00:00:00:00", "mac"},
      {"mem:lan?mac=01:00:5e:00:00:01", "mac"},
      {"mem:lan?loss=101", "loss"},
      {"mem:lan?corrupt=some", "corrupt"},
      {"mem:lan?announce=perhaps", "announce"},
      {"mem:lan?spin=long", "spin"},
      {"tap:fast0", "address"},
      {"tap:fast0?address=10.0.0.1/24&volume=11", "volume"},
      {"tap:a-name-that-is-too-long-for-linux?address=10.0.0.1/24", "a-name-that-is-too-long-for-linux"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    fastudp_stack* stack = NULL;
    char why[200] = "";
    const int status = fastudp_stack_open(&stack, wrong[i].uri, NULL, why, sizeof why);
    if (status != -EINVAL) fail_msg("'%s' gave %d, '%s'", wrong[i].uri, status, why);
    if (!strstr(why, wrong[i].named)) fail_msg("'%s' is explained by '%s'", wrong[i].uri, why);
    if (strchr(why, '\n')) fail_msg("'%s' is explained in several lines", wrong[i].uri);
  }
}

static void why_is_cut_to_fit(void** state) {
  (void)state;
  fastudp_stack* stack = NULL;
  char why[16];
  for (size_t size = 1; size < sizeof why; ++size) {
    memset(why, '#', sizeof why);
    assert_int_equal(fastudp_stack_open(&stack, "nonsense", NULL, why, size), -EINVAL);
    assert_int_equal(strlen(why), size - 1);
    assert_int_equal(why[size], '#');
  }
}

static void a_capture_that_cannot_be_written_is_named(void** state) {
  (void)state;
  fastudp_stack* stack = NULL;
  char why[200] = "";
  assert_int_equal(fastudp_stack_open(&stack, fresh_uri("?capture=/no-such-folder/x.pcapng"), NULL, why, sizeof why),
                   -ENOENT);
  assert_non_null(strstr(why, "/no-such-folder/x.pcapng"));
}

static void keys_of_every_link_are_taken(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack(fresh_uri("?address=10.1.0.1/16&gateway=10.1.0.254&mac=02:00:00:00:00:42&mtu=9000"
                                              "&spin=5&announce=off&seed=1&loss=1&duplicate=1&reorder=1&corrupt=1"
                                              "&delay=10"),
                                    0);
  fastudp_stack_info info = {.size = sizeof info};
  assert_int_equal(fastudp_stack_get_info(stack, &info), 0);
  assert_int_equal(info.mtu, 9000);
  assert_memory_equal(info.mac, "\x02\0\0\0\0\x42", 6);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static int open_with(const void* config) {
  fastudp_stack* stack = NULL;
  char why[200] = "";
  const int status = fastudp_stack_open(&stack, fresh_uri(""), config, why, sizeof why);
  if (status == 0) assert_int_equal(fastudp_stack_close(stack), 0);
  if (status != 0 && !why[0]) fail_msg("refused without a word");
  return status;
}

static void an_older_program_s_config_is_understood(void** state) {
  (void)state;
  fastudp_stack_config config = {.size = sizeof config.size};
  assert_int_equal(open_with(&config), 0);
  config.size = offsetof(fastudp_stack_config, hand_clock);
  config.hand_clock = 0xdeadbeef;  // lies behind the end
  assert_int_equal(open_with(&config), 0);
  config = (fastudp_stack_config){.size = sizeof config};
  assert_int_equal(open_with(&config), 0);
}

static void a_newer_program_s_config_is_understood_while_it_asks_for_nothing_new(void** state) {
  (void)state;
  struct {
    fastudp_stack_config config;
    char more[64];
  } newer = {.config = {.size = sizeof newer}};
  assert_int_equal(open_with(&newer), 0);
  for (size_t i = 0; i < sizeof newer.more; ++i) {
    newer.more[i] = 1;
    assert_int_equal(open_with(&newer), -E2BIG);
    newer.more[i] = 0;
  }
}

static void a_config_without_its_size_is_refused(void** state) {
  (void)state;
  fastudp_stack_config config = {.hand_clock = 1};
  assert_int_equal(open_with(&config), -EINVAL);
  config.size = sizeof config.size - 1;
  assert_int_equal(open_with(&config), -EINVAL);
}

static void an_open_socket_keeps_the_stack_open(void** state) {
  (void)state;
  fastudp_stack* stack = open_stack(fresh_uri("?address=10.0.0.1/24&announce=off"), 1);
  fastudp_socket* socket = open_socket(stack, ":7");
  assert_int_equal(stats_of(stack).sockets, 1);
  assert_int_equal(fastudp_stack_close(stack), -EBUSY);
  fastudp_addr local;
  assert_int_equal(fastudp_socket_local_addr(socket, &local), 0);  // nothing has happened
  assert_int_equal(local.port, 7);
  assert_int_equal(fastudp_socket_close(socket), 0);
  assert_int_equal(stats_of(stack).sockets, 0);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void a_borrowed_frame_keeps_socket_and_stack_open(void** state) {
  struct hosts* hosts = *state;
  send_text(hosts, "hold me");
  fastudp_msg message = {0};
  assert_int_equal(fastudp_borrow(hosts->server.socket, &message, 1, 0), 1);
  assert_int_equal(fastudp_socket_close(hosts->server.socket), -EBUSY);
  assert_int_equal(fastudp_stack_close(hosts->server.stack), -EBUSY);
  assert_memory_equal(message.data, "hold me", 7);
  send_text(hosts, "still open");
  expect_text(hosts, "still open");
  assert_int_equal(fastudp_release(&message, 1), 1);
}

static void an_allocated_frame_keeps_its_socket_open(void** state) {
  struct hosts* hosts = *state;
  fastudp_msg message = {.size = 10};
  assert_int_equal(fastudp_alloc(hosts->client.socket, &message, 1), 1);
  assert_int_equal(fastudp_socket_close(hosts->client.socket), -EBUSY);
  assert_int_equal(fastudp_release(&message, 1), 1);
}

static void closing_with_datagrams_queued_gives_their_frames_back(void** state) {
  (void)state;
  const char* uri = fresh_uri("?address=10.0.0.1/24&announce=off");
  fastudp_stack* stack = open_stack(uri, 1);
  fastudp_stack_info info = {.size = sizeof info};
  assert_int_equal(fastudp_stack_get_info(stack, &info), 0);
  const unsigned free_before = info.frames_free;
  fastudp_socket* socket = open_socket(stack, ":7");
  const fastudp_addr self = at("10.0.0.1:7");
  for (int i = 0; i < 20; ++i) assert_int_equal(fastudp_sendto(socket, "x", 1, 0, &self), 1);
  deliver(stack);
  assert_int_equal(fastudp_socket_poll(socket) & FASTUDP_READABLE, FASTUDP_READABLE);
  assert_int_equal(fastudp_socket_close(socket), 0);
  deliver(stack);
  assert_int_equal(fastudp_stack_get_info(stack, &info), 0);
  assert_int_equal(info.frames_free, free_before);
  assert_int_equal(fastudp_stack_close(stack), 0);
}

static void a_stack_can_be_opened_many_times(void** state) {
  (void)state;
  const char* uri = fresh_uri("?address=10.0.0.1/24");
  for (int i = 0; i < 50; ++i) assert_int_equal(fastudp_stack_close(open_stack(uri, i % 2)), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_stack_opens_and_closes),
      cmocka_unit_test(why_may_be_left_out),
      cmocka_unit_test(null_pointers_are_refused),
      cmocka_unit_test(a_wrong_uri_is_explained),
      cmocka_unit_test(why_is_cut_to_fit),
      cmocka_unit_test(a_capture_that_cannot_be_written_is_named),
      cmocka_unit_test(keys_of_every_link_are_taken),
      cmocka_unit_test(an_older_program_s_config_is_understood),
      cmocka_unit_test(a_newer_program_s_config_is_understood_while_it_asks_for_nothing_new),
      cmocka_unit_test(a_config_without_its_size_is_refused),
      cmocka_unit_test(an_open_socket_keeps_the_stack_open),
      still_test(a_borrowed_frame_keeps_socket_and_stack_open),
      still_test(an_allocated_frame_keeps_its_socket_open),
      cmocka_unit_test(closing_with_datagrams_queued_gives_their_frames_back),
      cmocka_unit_test(a_stack_can_be_opened_many_times),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
