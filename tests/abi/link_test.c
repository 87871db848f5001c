// Raw frames in and out of a link without a stack.

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "hosts.h"

struct links {
  fastudp_link *one, *two;
};

static fastudp_link* open_link(const char* uri) {
  fastudp_link* link = NULL;
  char why[200] = "";
  const int status = fastudp_link_open(&link, uri, why, sizeof why);
  if (status != 0) fail_msg("%s: %d: %s", uri, status, why);
  return link;
}

static int open_links(void** state) {
  static struct links links;
  const char* uri = fresh_uri("");
  links.one = open_link(uri);
  links.two = open_link(uri);
  *state = &links;
  return 0;
}

static int close_links(void** state) {
  struct links* links = *state;
  return fastudp_link_close(links->one) || fastudp_link_close(links->two);
}

#define links_test(name) cmocka_unit_test_setup_teardown(name, open_links, close_links)

// A frame of the size for everybody, with bytes that depend on `seed`.
static void make_frame(uint8_t* frame, size_t size, int seed) {
  for (size_t i = 0; i < size; ++i) frame[i] = i < 6 ? 0xff : i == 6 ? 2 : (uint8_t)(seed + (int)i);
  frame[12] = 0x88;
  frame[13] = 0xb5;
}

static void frames_pass_as_they_are(void** state) {
  struct links* links = *state;
  static const size_t sizes[] = {14, 15, 59, 60, 64, 1000, 1513, 1514};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
    uint8_t sent[1514], seen[2000];
    make_frame(sent, sizes[i], (int)i);
    assert_int_equal(fastudp_link_send(links->one, sent, sizes[i]), sizes[i]);
    assert_int_equal(fastudp_link_recv(links->two, seen, sizeof seen), sizes[i]);
    assert_memory_equal(seen, sent, sizes[i]);
    assert_int_equal(fastudp_link_recv(links->one, seen, sizeof seen), -EAGAIN);  // not to itself
  }
}

static void a_frame_is_cut_to_the_buffer_and_its_length_said(void** state) {
  struct links* links = *state;
  uint8_t sent[100], seen[101];
  make_frame(sent, sizeof sent, 1);
  for (size_t room = 0; room <= sizeof sent; room += 20) {
    memset(seen, 0x55, sizeof seen);
    assert_int_equal(fastudp_link_send(links->one, sent, sizeof sent), sizeof sent);
    assert_int_equal(fastudp_link_recv(links->two, seen, room), sizeof sent);
    assert_memory_equal(seen, sent, room);
    assert_int_equal(seen[room], 0x55);
    assert_int_equal(fastudp_link_recv(links->two, seen, sizeof seen), -EAGAIN);
  }
}

static void what_is_no_frame_of_this_link_is_refused(void** state) {
  struct links* links = *state;
  uint8_t frame[1600];
  make_frame(frame, sizeof frame, 1);
  assert_int_equal(fastudp_link_send(links->one, frame, 1515), -EMSGSIZE);
  assert_int_equal(fastudp_link_send(links->one, frame, sizeof frame), -EMSGSIZE);
  assert_true(fastudp_link_send(links->one, frame, 0) < 0);
  assert_true(fastudp_link_send(links->one, frame, 13) < 0);
  assert_int_equal(fastudp_link_recv(links->two, frame, sizeof frame), -EAGAIN);
}

static void frames_keep_their_order(void** state) {
  struct links* links = *state;
  uint8_t frame[64];
  for (int i = 0; i < 100; ++i) {
    make_frame(frame, sizeof frame, i);
    assert_int_equal(fastudp_link_send(links->one, frame, sizeof frame), sizeof frame);
  }
  for (int i = 0; i < 100; ++i) {
    uint8_t expected[64];
    make_frame(expected, sizeof expected, i);
    assert_int_equal(fastudp_link_recv(links->two, frame, sizeof frame), sizeof frame);
    assert_memory_equal(frame, expected, sizeof expected);
  }
}

static void the_hub_shows_everything_to_a_bare_link(void** state) {
  struct hosts* hosts = *state;
  fastudp_link* watcher = open_link(hosts->hub);
  uint8_t frame[2000];
  send_text(hosts, "unicast between two others");
  assert_int_equal(fastudp_link_recv(watcher, frame, sizeof frame), 42 + 26);
  assert_memory_equal(frame + 42, "unicast between two others", 26);
  assert_int_equal(fastudp_link_recv(watcher, frame, sizeof frame), -EAGAIN);
  assert_int_equal(fastudp_link_close(watcher), 0);
  expect_text(hosts, "unicast between two others");
}

static void a_frame_written_by_hand_reaches_a_socket(void** state) {
  struct hosts* hosts = *state;
  fastudp_link* watcher = open_link(hosts->hub);
  uint8_t frame[2000];
  send_text(hosts, "again");
  const int64_t size = fastudp_link_recv(watcher, frame, sizeof frame);
  expect_text(hosts, "again");
  assert_int_equal(fastudp_link_send(watcher, frame, (size_t)size), size);
  deliver(hosts->server.stack);
  expect_text(hosts, "again");
  assert_int_equal(fastudp_link_close(watcher), 0);
}

static void opening_refuses_what_a_bare_link_does_not_have(void** state) {
  (void)state;
  static const struct {
    const char *uri, *named;
  } wrong[] = {{"nonsense", "nonsense"},
               {"carrier-pigeon:x", "carrier-pigeon"},
               {"mem:x?bogus=1", "bogus"},
               {"mem:x?address=10.0.0.1/24", "address"},
               {"mem:x?gateway=10.0.0.1", "gateway"},
               {"mem:x?spin=1", "spin"},
               {"mem:x?announce=off", "announce"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
    fastudp_link* link = NULL;
    char why[200] = "";
    const int status = fastudp_link_open(&link, wrong[i].uri, why, sizeof why);
    if (status != -EINVAL || !strstr(why, wrong[i].named)) fail_msg("%s: %d: '%s'", wrong[i].uri, status, why);
  }
}

static void waiting_ends_with_a_frame_or_the_deadline(void** state) {
  struct links* links = *state;
  uint8_t frame[64];
  make_frame(frame, sizeof frame, 1);
  assert_int_equal(fastudp_link_wait(links->two, 0), 0);
  const int64_t start = monotonic();
  assert_int_equal(fastudp_link_wait(links->two, 20 * millisecond), 0);
  assert_true(monotonic() - start >= 20 * millisecond);
  assert_int_equal(fastudp_link_send(links->one, frame, sizeof frame), sizeof frame);
  assert_int_equal(fastudp_link_wait(links->two, -1), 1);
  assert_int_equal(fastudp_link_wait(links->two, 0), 1);  // still there
  assert_int_equal(fastudp_link_recv(links->two, frame, sizeof frame), sizeof frame);
  assert_int_equal(fastudp_link_wait(links->two, 0), 0);
}

struct waiter {
  fastudp_link* link;
  atomic_int returned;
  int result;
};

static void* wait_for_ever(void* argument) {
  struct waiter* waiter = argument;
  waiter->result = fastudp_link_wait(waiter->link, -1);
  atomic_store(&waiter->returned, 1);
  return NULL;
}

static void ignore(int number) { (void)number; }

static void a_frame_or_a_signal_wakes_who_waits(void** state) {
  struct links* links = *state;
  struct sigaction action = {.sa_handler = ignore}, before;
  sigaction(SIGUSR1, &action, &before);
  uint8_t frame[64];
  make_frame(frame, sizeof frame, 1);
  pthread_t thread;
  struct waiter waiter = {.link = links->two};
  assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, &waiter), 0);
  while (!atomic_load(&waiter.returned)) {
    pthread_kill(thread, SIGUSR1);
    sched_yield();
  }
  pthread_join(thread, NULL);
  assert_int_equal(waiter.result, -EINTR);

  waiter = (struct waiter){.link = links->two};
  assert_int_equal(pthread_create(&thread, NULL, wait_for_ever, &waiter), 0);
  assert_int_equal(fastudp_link_send(links->one, frame, sizeof frame), sizeof frame);
  pthread_join(thread, NULL);
  assert_int_equal(waiter.result, 1);
  sigaction(SIGUSR1, &before, NULL);
}

static void null_pointers_are_refused(void** state) {
  struct links* links = *state;
  fastudp_link* link = NULL;
  uint8_t frame[64];
  assert_int_equal(fastudp_link_open(NULL, fresh_uri(""), NULL, 0), -EFAULT);
  assert_int_equal(fastudp_link_open(&link, NULL, NULL, 0), -EFAULT);
  assert_int_equal(fastudp_link_close(NULL), 0);
  assert_int_equal(fastudp_link_send(NULL, frame, sizeof frame), -EFAULT);
  assert_int_equal(fastudp_link_send(links->one, NULL, sizeof frame), -EFAULT);
  assert_int_equal(fastudp_link_recv(NULL, frame, sizeof frame), -EFAULT);
  assert_int_equal(fastudp_link_recv(links->one, NULL, sizeof frame), -EFAULT);
  assert_int_equal(fastudp_link_wait(NULL, 0), -EFAULT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      links_test(frames_pass_as_they_are),
      links_test(a_frame_is_cut_to_the_buffer_and_its_length_said),
      links_test(what_is_no_frame_of_this_link_is_refused),
      links_test(frames_keep_their_order),
      still_test(the_hub_shows_everything_to_a_bare_link),
      still_test(a_frame_written_by_hand_reaches_a_socket),
      cmocka_unit_test(opening_refuses_what_a_bare_link_does_not_have),
      links_test(waiting_ends_with_a_frame_or_the_deadline),
      links_test(a_frame_or_a_signal_wakes_who_waits),
      links_test(null_pointers_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
