// What the data path costs once it is warm: no memory is asked for or given back, no lock is taken per packet, no
// system call is made per packet.

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "traffic.h"

enum { datagrams = 100000, warm_up = 4 * largest_burst, most_system_calls = 1000 };

// ---- Memory: this program's own functions stand before those of libc, for libfastudp.so too.

static atomic_int memory_calls;

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* memory);

void* malloc(size_t size) {
  atomic_fetch_add(&memory_calls, 1);
  return __libc_malloc(size);
}

void* calloc(size_t count, size_t size) {
  atomic_fetch_add(&memory_calls, 1);
  return __libc_calloc(count, size);
}

void* realloc(void* old, size_t size) {
  atomic_fetch_add(&memory_calls, 1);
  return __libc_realloc(old, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  atomic_fetch_add(&memory_calls, 1);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** memory, size_t alignment, size_t size) {
  atomic_fetch_add(&memory_calls, 1);
  *memory = __libc_memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}

void free(void* memory) {
  atomic_fetch_add(&memory_calls, 1);
  __libc_free(memory);
}

void* mmap(void* address, size_t size, int protection, int flags, int fd, off_t offset) {
  atomic_fetch_add(&memory_calls, 1);
  return (void*)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

int munmap(void* address, size_t size) {
  atomic_fetch_add(&memory_calls, 1);
  return (int)syscall(SYS_munmap, address, size);
}

struct way {
  const char* name;
  int burst, zero_copy;
};

static const struct way ways[] = {
    {"copied in bursts", largest_burst, 0},
    {"copied one by one", 1, 0},
    {"borrowed in bursts", largest_burst, 1},
    {"borrowed one by one", 1, 1},
};

enum { way_count = sizeof ways / sizeof *ways };

static int run(struct hosts* hosts, const struct way* way, int count) {
  const int calls = round_trips(hosts, count, way->burst, way->zero_copy);
  if (calls < 0) fail_msg("%s: a round trip failed", way->name);
  return calls;
}

static void opening_allocates_so_the_counting_works(void** state) {
  const int before = atomic_load(&memory_calls);
  assert_int_equal(open_live_hosts(state), 0);
  assert_true(atomic_load(&memory_calls) - before > 4);
  close_hosts(state);
}

static void the_data_path_allocates_nothing(void** state) {
  struct hosts* hosts = *state;
  for (int i = 0; i < way_count; ++i) {
    run(hosts, &ways[i], warm_up);
    const int before = atomic_load(&memory_calls);
    run(hosts, &ways[i], datagrams);
    const int seen = atomic_load(&memory_calls) - before;
    if (seen != 0) fail_msg("%s: memory was asked for or given back %d times", ways[i].name, seen);
  }
}

static void a_lock_is_taken_per_call_and_not_per_packet(void** state) {
  struct hosts* hosts = *state;
  for (int i = 0; i < way_count; ++i) {
    run(hosts, &ways[i], warm_up);
    const uint64_t before =
        stats_of(hosts->client.stack).lock_acquisitions + stats_of(hosts->server.stack).lock_acquisitions;
    const int calls = run(hosts, &ways[i], datagrams);
    const uint64_t taken =
        stats_of(hosts->client.stack).lock_acquisitions + stats_of(hosts->server.stack).lock_acquisitions - before;
    if (taken > (uint64_t)calls + 100) {
      fail_msg("%s: %d calls took the stack %d times", ways[i].name, calls, (int)taken);
    }
    assert_true(taken > (uint64_t)calls / 4);  // it does count
  }
}

// ---- Many datagrams in one call, one datagram of many calls, and what is told of sends that are done

enum { segment = 100, segments_per_send = 60, sends = 3000 };

static void set_number(fastudp_socket* socket, int level, int name, int value) {
  assert_int_equal(fastudp_socket_set_option(socket, level, name, &value, sizeof value), 0);
}

static void send_and_receive(struct hosts* hosts, int count) {
  static char out[segment * segments_per_send], in[sizeof out];
  const fastudp_addr to = server_address();
  for (int i = 0; i < count; ++i) {
    const int64_t half = sizeof out / 2;
    assert_int_equal(fastudp_sendto(hosts->client.socket, out, (size_t)half, FASTUDP_MORE, &to), half);
    assert_int_equal(fastudp_sendto(hosts->client.socket, out, (size_t)half, FASTUDP_ZEROCOPY, &to), half);
    for (int64_t got = 0; got < 2 * half;) {
      const int64_t some = fastudp_recvfrom(hosts->server.socket, in, sizeof in, 0, NULL);
      assert_in_range(some, 1, 2 * half - got);
      got += some;
    }
    assert_int_equal(fastudp_recvfrom(hosts->client.socket, in, sizeof in, FASTUDP_ERRQUEUE, NULL), 0);
  }
}

static void many_datagrams_in_one_call_cost_one_lock_and_no_memory(void** state) {
  struct hosts* hosts = *state;
  set_number(hosts->client.socket, IPPROTO_UDP, UDP_SEGMENT, segment);
  set_number(hosts->client.socket, SOL_SOCKET, SO_ZEROCOPY, 1);
  set_number(hosts->server.socket, IPPROTO_UDP, UDP_GRO, 1);
  send_and_receive(hosts, 10);
  const int before = atomic_load(&memory_calls);
  const uint64_t locks = stats_of(hosts->client.stack).lock_acquisitions;
  const uint64_t sent = stats_of(hosts->client.stack).tx_datagrams;
  send_and_receive(hosts, sends);
  assert_int_equal(atomic_load(&memory_calls) - before, 0);
  assert_int_equal(stats_of(hosts->client.stack).tx_datagrams - sent, sends * segments_per_send);
  // Two sends and a look at the error queue; stats_of itself takes the lock.
  assert_in_range(stats_of(hosts->client.stack).lock_acquisitions - locks, sends * 3, sends * 3 + 100);
}

// ---- System calls: a child makes the round trips, its parent counts what it asks the kernel for.

enum { marker = -4242 };  // closing this tells the parent that counting begins or ends

static void make_round_trips_between_markers(const struct way* way) {
  void* state = NULL;
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(77);
  raise(SIGSTOP);
  open_live_hosts(&state);
  if (round_trips(state, warm_up, way->burst, way->zero_copy) < 0) _exit(1);
  syscall(SYS_close, marker);
  if (round_trips(state, datagrams, way->burst, way->zero_copy) < 0) _exit(1);
  syscall(SYS_close, marker);
  _exit(0);
}

// How many system calls the stopped child makes between the markers; its exit status in *status.
static int count_system_calls(pid_t child, int* status) {
  int counting = 0, count = 0;
  ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  while (ptrace(PTRACE_SYSCALL, child, NULL, NULL) == 0 && waitpid(child, status, 0) == child && WIFSTOPPED(*status)) {
    struct __ptrace_syscall_info info;
    if (WSTOPSIG(*status) != (SIGTRAP | 0x80)) continue;
    ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) continue;
    const int marked = info.entry.nr == SYS_close && (int)info.entry.args[0] == marker;
    if (marked) counting = !counting;
    count += counting && !marked;
  }
  return count;
}

static void no_system_call_is_made_per_packet(void** state) {
  (void)state;
  for (int i = 0; i < way_count; ++i) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) make_round_trips_between_markers(&ways[i]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
      print_message("skipped: tracing a child is not allowed here\n");
      skip();
    }
    assert_true(WIFSTOPPED(status));
    const int count = count_system_calls(child, &status);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    print_message("%s: %d system calls for %d round trips\n", ways[i].name, count, datagrams);
    assert_in_range(count, 0, most_system_calls);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(opening_allocates_so_the_counting_works),
      live_test(the_data_path_allocates_nothing),
      live_test(a_lock_is_taken_per_call_and_not_per_packet),
      live_test(many_datagrams_in_one_call_cost_one_lock_and_no_memory),
      cmocka_unit_test(no_system_call_is_made_per_packet),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
