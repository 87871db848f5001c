#include "library.h"

#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "fast_socket.h"
#include "inside.h"
#include "pool.h"
#include "real.h"
#include "table.h"
#include "user_rules.h"

namespace preload::library {

constinit std::atomic<std::uintptr_t> lowest{~std::uintptr_t{0}}, highest{0};

namespace {

struct code_range {
  std::uintptr_t low = 0, high = 0;
  bool contains(const void* code) const {
    const auto at = reinterpret_cast<std::uintptr_t>(code);
    return at >= low && at < high;
  }
};

enum : int { closed, opened, failed };

constinit std::atomic<int> state{closed};
constinit fastudp_stack* the_stack = nullptr;
constinit bool owns_addresses = false;
constinit pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
constinit std::size_t reasons[5]{};
constinit code_range ranges[8]{};  // libfastudp.so and its plugins
constinit code_range hooks{};
constinit std::atomic<std::size_t> range_count{0};
constinit std::atomic<pid_t> home{0};
constinit std::atomic<bool> adopts{true};

// The environment as it was at the start: programs clear or rewrite theirs.
constinit char link_uri[512] = "auto:";
constinit char stats_file[4096]{}, rules_file[4096]{};
constinit bool strict = false, may_bypass_firewall = false, may_extend = false;
constinit std::atomic<bool> environment_is_read{false};

void copy_variable(const char* name, char* to, std::size_t size) {
  const char* value = secure_getenv(name);
  if (value != nullptr && *value != '\0' && std::strlen(value) < size) std::strcpy(to, value);
}

bool is_set(const char* name) {
  const char* value = secure_getenv(name);
  return value != nullptr && *value != '\0' && std::strcmp(value, "0") != 0;
}

void read_environment() {
  if (environment_is_read.exchange(true)) return;
  copy_variable("FASTUDP_LINK", link_uri, sizeof link_uri);
  copy_variable("FASTUDP_STATS", stats_file, sizeof stats_file);
  copy_variable("FASTUDP_RULES", rules_file, sizeof rules_file);
  strict = is_set("FASTUDP_STRICT");
  may_bypass_firewall = is_set("FASTUDP_BYPASS_FIREWALL");
  may_extend = is_set("FASTUDP_EXTEND_SANDBOX");
}

code_range range_of(const dl_phdr_info& object) {
  code_range out{~std::uintptr_t{0}, 0};
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const auto& segment = object.dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X)) continue;
    const std::uintptr_t low = object.dlpi_addr + segment.p_vaddr;
    if (low < out.low) out.low = low;
    if (low + segment.p_memsz > out.high) out.high = low + segment.p_memsz;
  }
  return out;
}

code_range noted(const code_range& range) {
  if (range.low < lowest.load(std::memory_order_relaxed)) lowest.store(range.low, std::memory_order_relaxed);
  if (range.high > highest.load(std::memory_order_relaxed)) highest.store(range.high, std::memory_order_relaxed);
  return range;
}

int add_range(dl_phdr_info* object, std::size_t, void*) {
  const char* name = std::strrchr(object->dlpi_name, '/');
  name = name == nullptr ? object->dlpi_name : name + 1;
  if (std::strncmp(name, "libfastudp-preload", 18) == 0) hooks = noted(range_of(*object));
  const std::size_t n = range_count.load(std::memory_order_relaxed);
  const bool is_ours = std::strncmp(name, "libfastudp.so", 13) == 0 || std::strncmp(name, "fastudp-", 8) == 0;
  if (!is_ours || n == std::size(ranges)) return 0;
  ranges[n] = noted(range_of(*object));
  range_count.store(n + 1, std::memory_order_release);
  return 0;
}

// Once more after the stack has been opened, which may have loaded plugins.
void find_ranges() {
  range_count.store(0, std::memory_order_release);
  dl_iterate_phdr(add_range, nullptr);
}

std::size_t find_reason(const char* wanted) {
  for (std::size_t i = 0;; ++i) {
    const char* name = fastudp_kernel_reason_name(i);
    if (name == nullptr) return 0;
    if (std::strcmp(name, wanted) == 0) return i;
  }
}

int open_stack() {
  read_environment();
  fastudp_stack_config config{};
  config.size = sizeof config;
  config.strict = strict;
  config.may_bypass_firewall = may_bypass_firewall;
  config.stats_file = stats_file[0] != '\0' ? stats_file : nullptr;
  constexpr const char* names[] = {"option", "nested", "forked", "rule", "sandbox"};
  for (std::size_t i = 0; i < std::size(names); ++i) reasons[i] = find_reason(names[i]);
  set_thread_is_opening(true);
  char why[256];
  int outcome = fastudp_stack_open(&the_stack, link_uri, &config, why, sizeof why);
  // Without the link the program goes on as it would without us, and is counted.
  config.why_not_faster = why;
  if (outcome < 0 && !strict) outcome = fastudp_stack_open(&the_stack, "host:", &config, nullptr, 0);
  set_thread_is_opening(false);
  find_ranges();
  fastudp_stack_info info{};
  info.size = sizeof info;
  owns_addresses = outcome >= 0 && fastudp_stack_get_info(the_stack, &info) == 0 && info.is_alone != 0;
  return outcome;
}

// Where a quarter of the numbers isn't enough for a stack, the program needs them more.
bool has_room_for_a_stack() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max >= 128;
}

bool open_once() {
  mutex_guard held(opening);
  if (state.load(std::memory_order_relaxed) == closed) {
    const bool is_open = has_room_for_a_stack() && open_stack() == 0;
    state.store(is_open ? opened : failed, std::memory_order_release);
  }
  return state.load(std::memory_order_relaxed) == opened;
}

bool is_open() {
  const int now = state.load(std::memory_order_acquire);
  return now == closed ? open_once() : now == opened;
}

// To a number that the program couldn't have. The limit is raised for a moment, as everybody may.
int duplicate_above(int fd, const rlimit& limit) {
  const rlimit raised{.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &raised) != 0) return -1;
  const int made = real.fcntl(fd, F_DUPFD_CLOEXEC, limit.rlim_cur);
  rlimit now{};
  getrlimit(RLIMIT_NOFILE, &now);
  if (now.rlim_cur == raised.rlim_cur && now.rlim_max == raised.rlim_max) setrlimit(RLIMIT_NOFILE, &limit);
  return made;
}

// The lowest free number is what the program expects next, and each that it may have is its own. Where the limit is
// large we don't go far beyond 1024: programs give select() the largest number that may be, with sets of 1024, and the
// kernel writes to as many as its table of descriptors has room for.
int duplicate_out_of_the_way(int fd) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const bool has_room_above = limit.rlim_cur <= FD_SETSIZE && limit.rlim_cur < limit.rlim_max;
  const int above = has_room_above ? duplicate_above(fd, limit) : -1;
  if (above >= 0) return above;
  const auto most = static_cast<unsigned long>(limit.rlim_cur);
  return real.fcntl(fd, F_DUPFD_CLOEXEC, std::min(most - most / 4, 768ul));
}

// Opening a stack calls much of libc, with locks held.
class uncancelled {
 public:
  uncancelled() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~uncancelled() { pthread_setcancelstate(before_, nullptr); }
  uncancelled(const uncancelled&) = delete;
  uncancelled& operator=(const uncancelled&) = delete;

 private:
  int before_ = PTHREAD_CANCEL_ENABLE;
};

int adopt_duplicate(int fd, int companion) {
  fastudp_socket* handle = nullptr;
  set_thread_is_opening(true);  // the first may load plugins
  const int outcome = fastudp_socket_adopt(the_stack, companion, &handle);
  set_thread_is_opening(false);
  if (outcome < 0) return outcome;
  const int flags = real.fcntl(fd, F_GETFL, 0);
  fast_socket* made = fast_socket::make(handle, companion, flags >= 0 && (flags & O_NONBLOCK));
  if (made == nullptr) {
    fastudp_socket_close(handle);
    return -ENOMEM;
  }
  fastudp_addr local{};
  (void)fastudp_socket_local_addr(handle, &local);
  made->is_bound_by_program = local.port != 0;
  if (user_rules::is_kernels(local)) (void)fastudp_socket_hand_over(handle, reason(cause::rule));
  if (!table.replace(fd, entry::unknown, entry(made))) made->unpin_soon();  // another thread was quicker
  return 0;
}

void before_fork() { pthread_mutex_lock(&opening); }
void after_fork_in_parent() { pthread_mutex_unlock(&opening); }
void after_fork_in_child() {
  pthread_mutex_unlock(&opening);
  home.store(getpid(), std::memory_order_relaxed);
  forget_where_thread_is();
}

[[gnu::constructor(101)]] void begin() {
  find_real_calls();
  notice_ends_of_threads();
  read_environment();
  user_rules::read(rules_file);
  find_ranges();
  home.store(getpid(), std::memory_order_relaxed);
  pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

}  // namespace

fastudp_stack* stack() { return state.load(std::memory_order_acquire) == opened ? the_stack : nullptr; }

bool is_alone() { return owns_addresses; }

std::size_t reason(cause why) { return reasons[static_cast<std::size_t>(why)]; }

int adopt(int fd) {
  if (!adopts.load(std::memory_order_relaxed)) return -ENODEV;
  const int error = errno;
  const uncancelled whole;
  if (!is_open()) return strict ? -EOPNOTSUPP : -ENODEV;
  const int companion = duplicate_out_of_the_way(fd);
  int outcome = companion < 0 ? -EMFILE : 0;
  if (companion >= 0) {
    table.store(companion, entry::internal);
    outcome = adopt_duplicate(fd, companion);
    if (outcome < 0) {
      table.store(companion, entry::kernel);
      close_uncancelled(companion);
    }
  }
  errno = error;
  return outcome;
}

void open_while_allowed() {
  const int error = errno;
  if (is_at_home() && !thread_is_opening()) (void)is_open();
  errno = error;
}
void adopt_no_more() { adopts.store(false, std::memory_order_relaxed); }

// A last call of a function of the library's may return straight to the hook that it was called from.
bool is_within(const void* code) {
  if (thread_is_opening() || (hooks.contains(code) && thread_is_inside())) return true;
  const std::size_t n = range_count.load(std::memory_order_acquire);
  return std::any_of(ranges, ranges + n, [&](const code_range& range) { return range.contains(code); });
}

// When nothing is ours any more it doesn't matter, and the question may be forbidden.
bool is_at_home() {
  if (!adopts.load(std::memory_order_relaxed)) return true;
  const pid_t known = home.load(std::memory_order_relaxed);
  return known == 0 || raw<pid_t>(SYS_getpid) == known;
}

// Within the library's own code nothing is the program's.
void will_lose_rights() {
  if (stack() == nullptr || !is_at_home()) return;
  const int error = errno;
  const inside outermost(nullptr);
  if (outermost) (void)fastudp_stack_prepare_fork(the_stack);
  errno = error;
}

void will_exec() {
  if (stack() == nullptr || !is_at_home()) return;
  const int error = errno;
  const inside outermost(nullptr);
  if (outermost) (void)fastudp_stack_prepare_exec(the_stack);
  errno = error;
}

bool may_extend_sandboxes() { return may_extend; }

void will_be_confined() {
  if (stack() == nullptr || !is_at_home()) return;
  const int error = errno;
  const inside outermost(nullptr);
  if (outermost) (void)fastudp_stack_prepare_sandbox(the_stack);
  errno = error;
}

int keep(int fd) {
  const int moved = fd < 0 ? -1 : duplicate_out_of_the_way(fd);
  if (moved >= 0) close_uncancelled(fd);
  const int out = moved >= 0 ? moved : fd;
  if (out >= 0) table.store(out, entry::internal);
  return out;
}

}  // namespace preload::library
