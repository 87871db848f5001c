// Many threads on one socket, and frames that change threads.

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "hosts.h"

enum { receivers = 16, senders = 4, datagrams = 20000, window = 64, tick = 20 * millisecond };

// Shared by the threads of one test; only atomics change while they run.
struct meeting {
  fastudp_stack* stack;
  fastudp_socket* socket;
  atomic_int received, sent, finished, wrong;
  atomic_uchar seen[datagrams];
};

static struct meeting* open_meeting(const struct host* host) {
  struct meeting* meeting = calloc(1, sizeof *meeting);
  meeting->stack = host->stack;
  meeting->socket = host->socket;
  return meeting;
}

static void note(struct meeting* meeting, const char* data, uint32_t length) {
  int number = -1;
  if (length == sizeof number) memcpy(&number, data, sizeof number);
  if (number < 0 || number >= datagrams) {
    atomic_fetch_add(&meeting->wrong, 1);
    return;
  }
  atomic_fetch_add(&meeting->seen[number], 1);
  atomic_fetch_add(&meeting->received, 1);
}

static void* receive_until_finished(void* argument) {
  struct meeting* meeting = argument;
  char data[8][16];
  while (!atomic_load(&meeting->finished)) {
    fastudp_msg messages[8] = {{0}};
    for (int i = 0; i < 8; ++i) messages[i] = (fastudp_msg){.data = data[i], .size = sizeof data[i]};
    const int count = fastudp_recv(meeting->socket, messages, 8, 0);
    for (int i = 0; i < count; ++i) note(meeting, messages[i].data, messages[i].length);
    if (count < 0 && count != -EAGAIN) atomic_fetch_add(&meeting->wrong, 1);
  }
  return NULL;
}

static void* borrow_until_finished(void* argument) {
  struct meeting* meeting = argument;
  while (!atomic_load(&meeting->finished)) {
    fastudp_msg messages[8] = {{0}};
    const int count = fastudp_borrow(meeting->socket, messages, 8, 0);
    for (int i = 0; i < count; ++i) note(meeting, messages[i].data, messages[i].length);
    if (count < 0 && count != -EAGAIN) atomic_fetch_add(&meeting->wrong, 1);
    if (count > 0 && fastudp_release(messages, 8) != count) atomic_fetch_add(&meeting->wrong, 1);
  }
  return NULL;
}

// Never more under way than the receive buffer holds, so that none may be lost.
static void wait_for_room(struct meeting* meeting, int sent, int limit) {
  while (sent - atomic_load(&meeting->received) >= limit) sched_yield();
}

static void run_receivers(struct hosts* hosts, void* (*receive)(void*)) {
  struct meeting* meeting = open_meeting(&hosts->server);
  set_receive_timeout(hosts->server.socket, tick);
  pthread_t threads[receivers];
  for (int i = 0; i < receivers; ++i) assert_int_equal(pthread_create(&threads[i], NULL, receive, meeting), 0);

  const fastudp_addr to = server_address();
  for (int i = 0; i < datagrams; ++i) {
    wait_for_room(meeting, i, window);
    assert_int_equal(fastudp_sendto(hosts->client.socket, &i, sizeof i, 0, &to), sizeof i);
  }
  wait_for_room(meeting, datagrams, 1);
  atomic_store(&meeting->finished, 1);
  for (int i = 0; i < receivers; ++i) pthread_join(threads[i], NULL);

  for (int i = 0; i < datagrams; ++i) assert_int_equal(meeting->seen[i], 1);
  assert_int_equal(meeting->wrong, 0);
  free(meeting);
}

static void sixteen_receivers_share_the_datagrams(void** state) { run_receivers(*state, receive_until_finished); }

static void sixteen_borrowers_share_the_datagrams(void** state) { run_receivers(*state, borrow_until_finished); }

// What a sender wrote can be told from a mixture of two: thread, number, and bytes that follow from both.
struct parcel {
  int thread, number;
  uint8_t rest[200];
};

static void pack(struct parcel* parcel, int thread, int number) {
  parcel->thread = thread;
  parcel->number = number;
  for (size_t i = 0; i < sizeof parcel->rest; ++i) parcel->rest[i] = (uint8_t)(thread * 50 + number + (int)i);
}

struct sender {
  struct meeting* meeting;
  int thread;
  pthread_t id;
};

static void* send_share(void* argument) {
  struct sender* sender = argument;
  const fastudp_addr to = server_address();
  for (int i = 0; i < datagrams / senders; ++i) {
    struct parcel parcel;
    pack(&parcel, sender->thread, i);
    wait_for_room(sender->meeting, atomic_fetch_add(&sender->meeting->sent, 1), window);
    if (fastudp_sendto(sender->meeting->socket, &parcel, sizeof parcel, 0, &to) != sizeof parcel) {
      atomic_fetch_add(&sender->meeting->wrong, 1);
    }
  }
  return NULL;
}

static unsigned word(const uint8_t* at_byte) { return (unsigned)at_byte[0] << 8 | at_byte[1]; }

static unsigned folded_sum(const uint8_t* data, size_t size, unsigned sum) {
  for (size_t i = 0; i + 1 < size; i += 2) sum += word(data + i);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

// A whole frame: lengths, addresses and both checksums are right, and the payload is one sender's.
static void check_frame(const uint8_t* frame, size_t size, int* next) {
  assert_int_equal(size, 42 + sizeof(struct parcel));
  const uint8_t *ip = frame + 14, *udp = frame + 34;
  assert_int_equal(word(frame + 12), 0x0800);
  assert_int_equal(word(ip + 2), 28 + sizeof(struct parcel));
  assert_int_equal(folded_sum(ip, 20, 0), 0xffff);
  assert_memory_equal(ip + 12, "\x0a\0\0\1\x0a\0\0\2", 8);
  assert_int_equal(word(udp), client_port);
  assert_int_equal(word(udp + 2), server_port);
  assert_int_equal(word(udp + 4), 8 + sizeof(struct parcel));
  assert_int_equal(folded_sum(udp, size - 34, folded_sum(ip + 12, 8, 17 + word(udp + 4))), 0xffff);

  struct parcel seen, expected;
  memcpy(&seen, udp + 8, sizeof seen);
  assert_in_range(seen.thread, 0, senders - 1);
  pack(&expected, seen.thread, next[seen.thread]++);  // each thread's own are in order
  assert_memory_equal(&seen, &expected, sizeof seen);
}

static void frames_of_four_senders_are_whole(void** state) {
  struct hosts* hosts = *state;
  fastudp_link* watcher = NULL;
  assert_int_equal(fastudp_link_open(&watcher, hosts->hub, NULL, 0), 0);
  struct meeting* meeting = open_meeting(&hosts->client);
  struct sender threads[senders];
  for (int i = 0; i < senders; ++i) {
    threads[i] = (struct sender){.meeting = meeting, .thread = i};
    assert_int_equal(pthread_create(&threads[i].id, NULL, send_share, &threads[i]), 0);
  }
  int next[senders] = {0};
  for (int i = 0; i < datagrams; ++i) {
    uint8_t frame[2000];
    int64_t size;
    while ((size = fastudp_link_recv(watcher, frame, sizeof frame)) == -EAGAIN) fastudp_link_wait(watcher, -1);
    assert_in_range(size, 42, sizeof frame);
    check_frame(frame, (size_t)size, next);
    atomic_fetch_add(&meeting->received, 1);
    deliver(hosts->server.stack);
  }
  for (int i = 0; i < senders; ++i) pthread_join(threads[i].id, NULL);
  assert_int_equal(meeting->wrong, 0);
  free(meeting);
  assert_int_equal(fastudp_link_close(watcher), 0);
}

// One datagram each, without a timeout: whoever is not woken waits for ever.
static void* receive_one(void* argument) {
  struct meeting* meeting = argument;
  char data[16];
  const int64_t size = fastudp_recvfrom(meeting->socket, data, sizeof data, 0, NULL);
  if (size == sizeof(int)) note(meeting, data, sizeof(int));
  return NULL;
}

static void wake_by_one_burst(struct hosts* hosts, struct meeting* meeting, int first) {
  pthread_t threads[receivers];
  fastudp_msg messages[receivers] = {{0}};
  int numbers[receivers];
  for (int i = 0; i < receivers; ++i) {
    assert_int_equal(pthread_create(&threads[i], NULL, receive_one, meeting), 0);
    numbers[i] = first + i;
    messages[i] = (fastudp_msg){.data = &numbers[i], .size = sizeof numbers[i], .peer = server_address()};
  }
  assert_int_equal(fastudp_send(hosts->client.socket, messages, receivers, 0), receivers);
  for (int i = 0; i < receivers; ++i) pthread_join(threads[i], NULL);
}

// Another thread, which waits for another socket, looks after the link meanwhile.
static void a_burst_wakes_as_many_as_it_has_datagrams(void** state) {
  struct hosts* hosts = *state;
  struct host other = {hosts->server.stack, open_socket(hosts->server.stack, ":8")};
  struct meeting *meeting = open_meeting(&hosts->server), *elsewhere = open_meeting(&other);
  pthread_t bystander;
  assert_int_equal(pthread_create(&bystander, NULL, receive_one, elsewhere), 0);
  for (int round = 0; round < 100; ++round) wake_by_one_burst(hosts, meeting, round * receivers);
  const int last = 1;
  const fastudp_addr to = at("10.0.0.2:8");
  assert_int_equal(fastudp_sendto(hosts->client.socket, &last, sizeof last, 0, &to), sizeof last);
  pthread_join(bystander, NULL);
  for (int i = 0; i < 100 * receivers; ++i) assert_int_equal(meeting->seen[i], 1);
  assert_int_equal(elsewhere->seen[last], 1);
  assert_int_equal(fastudp_socket_close(other.socket), 0);
  free(meeting);
  free(elsewhere);
}

enum { batch = 16, batches = 2000 };

// Batches of borrowed frames on their way from the thread that borrows to those that release.
struct hand_over {
  pthread_mutex_t guard;
  pthread_cond_t changed;
  int waiting, finished, released;
  fastudp_msg messages[8][batch];
};

static void* release_batches(void* argument) {
  struct hand_over* between = argument;
  pthread_mutex_lock(&between->guard);
  for (;;) {
    while (between->waiting == 0 && !between->finished) pthread_cond_wait(&between->changed, &between->guard);
    if (between->waiting == 0) break;
    fastudp_msg mine[batch];
    memcpy(mine, between->messages[--between->waiting], sizeof mine);
    pthread_cond_broadcast(&between->changed);
    pthread_mutex_unlock(&between->guard);
    const int released = fastudp_release(mine, batch);
    pthread_mutex_lock(&between->guard);
    between->released += released;
  }
  pthread_mutex_unlock(&between->guard);
  return NULL;
}

static void hand_over_batch(struct hand_over* between, const fastudp_msg* messages) {
  pthread_mutex_lock(&between->guard);
  while (between->waiting == 8) pthread_cond_wait(&between->changed, &between->guard);
  memcpy(between->messages[between->waiting++], messages, sizeof between->messages[0]);
  pthread_cond_broadcast(&between->changed);
  pthread_mutex_unlock(&between->guard);
}

static void borrow_batch(struct hosts* hosts, fastudp_msg* messages) {
  for (int i = 0; i < batch; ++i) send_text(hosts, "held by another");
  memset(messages, 0, batch * sizeof *messages);
  assert_int_equal(fastudp_borrow(hosts->server.socket, messages, batch, 0), batch);
  for (int i = 0; i < batch; ++i) assert_memory_equal(messages[i].data, "held by another", 15);
}

static unsigned frames_free(fastudp_stack* stack) {
  fastudp_stack_info info = {.size = sizeof info};
  deliver(stack);
  assert_int_equal(fastudp_stack_get_info(stack, &info), 0);
  return info.frames_free;
}

static void frames_may_be_released_on_other_threads(void** state) {
  struct hosts* hosts = *state;
  const unsigned free_before = frames_free(hosts->server.stack);
  struct hand_over between = {.guard = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) assert_int_equal(pthread_create(&threads[i], NULL, release_batches, &between), 0);
  for (int i = 0; i < batches; ++i) {
    fastudp_msg messages[batch];
    borrow_batch(hosts, messages);
    hand_over_batch(&between, messages);
  }
  pthread_mutex_lock(&between.guard);
  between.finished = 1;
  pthread_cond_broadcast(&between.changed);
  pthread_mutex_unlock(&between.guard);
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  assert_int_equal(between.released, batch * batches);
  assert_int_equal(frames_free(hosts->server.stack), free_before);
}

// Opens, binds, uses and closes sockets of the same stack as the others.
static void* open_and_close(void* argument) {
  struct meeting* meeting = argument;
  const fastudp_addr self = at("10.0.0.1:0");
  for (int i = 0; i < 300; ++i) {
    fastudp_socket* socket = NULL;
    fastudp_addr local;
    char text[4];
    int wrong = fastudp_socket_open(meeting->stack, FASTUDP_IPV4, &socket) != 0;
    wrong = wrong || fastudp_socket_bind(socket, &self) != 0 || fastudp_socket_local_addr(socket, &local) != 0;
    wrong = wrong || fastudp_sendto(socket, "own", 3, 0, &local) != 3;
    wrong = wrong || fastudp_recvfrom(socket, text, sizeof text, 0, NULL) != 3;
    wrong = wrong || fastudp_socket_close(socket) != 0;
    if (wrong) atomic_fetch_add(&meeting->wrong, 1);
  }
  return NULL;
}

static void sockets_open_and_close_on_many_threads(void** state) {
  struct hosts* hosts = *state;
  struct meeting* meeting = open_meeting(&hosts->client);
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, meeting), 0);
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  assert_int_equal(meeting->wrong, 0);
  assert_int_equal(stats_of(hosts->client.stack).sockets, 1);
  free(meeting);
}

// Everything that may be asked of one socket and its stack at once; what it answers is not the point.
static void* ask_everything(void* argument) {
  const struct meeting* meeting = argument;
  fastudp_socket* socket = meeting->socket;
  const fastudp_addr taken = at(":5000"), peer = server_address();
  for (int i = 0; i < 500; ++i) {
    fastudp_addr address;
    fastudp_stack_stats stats = {.size = sizeof stats};
    fastudp_stack_info info = {.size = sizeof info};
    uint64_t drops[100];
    char text[100];
    int number = 100000 + i;
    size_t size = sizeof number;
    fastudp_socket_bind(socket, &taken);
    fastudp_socket_connect(socket, &peer);
    fastudp_socket_why(socket, text, sizeof text);
    fastudp_socket_local_addr(socket, &address);
    fastudp_socket_peer_addr(socket, &address);
    fastudp_socket_set_option(socket, SOL_SOCKET, SO_RCVBUF, &number, sizeof number);
    fastudp_socket_get_option(socket, SOL_SOCKET, SO_RCVBUF, &number, &size);
    fastudp_sendto(socket, "x", 1, 0, &peer);
    fastudp_recvfrom(socket, text, sizeof text, FASTUDP_DONTWAIT, NULL);
    fastudp_socket_poll(socket);
    fastudp_socket_fd(socket);
    fastudp_stack_fd(meeting->stack);
    fastudp_stack_deadline(meeting->stack);
    fastudp_stack_get_info(meeting->stack, &info);
    fastudp_stack_get_stats(meeting->stack, &stats);
    fastudp_stack_get_drops(meeting->stack, drops, 100);
    fastudp_stack_poll(meeting->stack, 0);
  }
  return NULL;
}

static void any_thread_may_ask_anything_at_any_time(void** state) {
  struct hosts* hosts = *state;
  struct meeting* meeting = open_meeting(&hosts->client);
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) assert_int_equal(pthread_create(&threads[i], NULL, ask_everything, meeting), 0);
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  const fastudp_addr to = server_address();
  deliver(hosts->server.stack);
  while (fastudp_recvfrom(hosts->server.socket, NULL, 0, FASTUDP_DONTWAIT, NULL) >= 0) continue;
  assert_int_equal(fastudp_sendto(hosts->client.socket, "still well", 10, 0, &to), 10);
  deliver(hosts->server.stack);
  expect_text(hosts, "still well");
  free(meeting);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      live_test(sixteen_receivers_share_the_datagrams),   live_test(sixteen_borrowers_share_the_datagrams),
      live_test(frames_of_four_senders_are_whole),        live_test(a_burst_wakes_as_many_as_it_has_datagrams),
      live_test(frames_may_be_released_on_other_threads), live_test(sockets_open_and_close_on_many_threads),
      live_test(any_thread_may_ask_anything_at_any_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
