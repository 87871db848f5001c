#include "fast_socket.h"

#include <limits.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "clock.h"
#include "epoll_set.h"
#include "inside.h"
#include "library.h"
#include "pool.h"
#include "real.h"

namespace preload {
namespace {

constinit std::atomic<std::uint64_t> next_identity{1};
constinit pthread_mutex_t adopting = PTHREAD_MUTEX_INITIALIZER;

int socket_number(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return real.getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

// Of the socket, not of the descriptor.
std::uint64_t kernels_identity_of(int fd) {
  struct stat facts {};
  return ::fstat(fd, &facts) == 0 ? facts.st_ino : 0;
}

bool is_udp(int fd) {
  if (socket_number(fd, SO_PROTOCOL) != IPPROTO_UDP || socket_number(fd, SO_TYPE) != SOCK_DGRAM) return false;
  const int family = socket_number(fd, SO_DOMAIN);
  return family == AF_INET || family == AF_INET6;
}

// Several numbers of one socket are inherited by a server of inetd's, and may come one by one in messages.
bool join_the_same(int fd) {
  fast_socket* same = fast_socket::find_same(fd);
  if (same == nullptr) return false;
  same->number_opened();
  if (!table.replace(fd, entry::unknown, entry(same))) same->number_closed();
  return true;
}

// Once per number: what was inherited, or came by a way that can't be seen. The library's threads leave that to the
// program's, which may be waiting for them with what it takes.
void look_at(int fd) {
  if (thread_is_opening()) return;
  const int error = errno;
  inside outermost(nullptr);
  if (outermost) {
    errno = 0;
    const bool udp = is_udp(fd);
    if (errno != EBADF) {
      mutex_guard held(adopting);
      if (udp && table.load(fd).is_unknown() && !join_the_same(fd)) library::adopt(fd);
      table.replace(fd, entry::unknown, entry::kernel);
    }
  }
  errno = error;
}

}  // namespace

using socket_pool = pool<fast_socket, &fast_socket::next>;
constinit socket_pool sockets;
constinit std::atomic<fast_socket*> fast_socket::dead_{nullptr};

fast_socket* fast_socket::make(fastudp_socket* handle, int companion, bool blocks_not) {
  fast_socket* out = sockets.take();
  if (out == nullptr) return nullptr;
  out->handle_ = handle;
  fastudp_addr own{};
  (void)fastudp_socket_local_addr(handle, &own);
  out->is_ipv4_ = own.family == FASTUDP_IPV4;
  out->companion_ = companion;
  out->identity_ = next_identity.fetch_add(1, std::memory_order_relaxed);
  out->kernels_identity_ = kernels_identity_of(companion);
  out->nonblocking = blocks_not;
  out->receive_is_shut = false;
  out->sends_pieces = false;
  out->numbers_ = 1;
  out->watchers_ = 0;
  out->references_.store(1, std::memory_order_release);
  return out;
}

fast_socket* fast_socket::find_same(int fd) {
  const std::uint64_t wanted = kernels_identity_of(fd);
  fast_socket* found = nullptr;
  table.for_each_from(0, [&](int, entry each) {
    fast_socket* s = found == nullptr ? each.socket() : nullptr;
    if (s == nullptr || !s->pin()) return;
    if (s->kernels_identity_ == wanted && !s->is_closed()) {
      found = s;
    } else {
      s->unpin_soon();
    }
  });
  return found;
}

bool fast_socket::pin() {
  std::uint32_t now = references_.load(std::memory_order_relaxed);
  while (now != 0) {
    if (references_.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

void fast_socket::number_closed() {
  if (numbers_.fetch_sub(1, std::memory_order_acq_rel) == 1 && watchers_.load() != 0) wait_for_watchers();
  unpin();
}

bool fast_socket::begin_watch() {
  if (!pin()) return false;
  watchers_.fetch_add(1);
  if (!is_closed()) return true;
  end_watch();
  return false;
}

// Whoever waits for the last one to end holds a reference, and wants to be the one that closes.
void fast_socket::end_watch() {
  unpin_soon();
  if (watchers_.fetch_sub(1) == 1 && is_closed()) {
    raw<int>(SYS_futex, &watchers_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  }
}

// Not for ever: a watcher that a signal handler has jumped out of never ends.
void fast_socket::wait_for_watchers() {
  const inside outermost(nullptr);
  if (!outermost) return;
  epoll_set::rouse_all();
  const time_limit limit(second / 2);
  for (std::uint32_t left = watchers_.load(); left != 0 && limit.left() > 0; left = watchers_.load()) {
    const timespec pause = to_timespec(limit.left());
    raw_call(SYS_futex, to_word(&watchers_), FUTEX_WAIT_PRIVATE, left, to_word(&pause), 0, 0);
  }
}

void fast_socket::retire(bool later) {
  inside outermost(nullptr);
  if (!later && outermost) {
    destroy();
    return;
  }
  next = dead_.load(std::memory_order_relaxed);
  while (!dead_.compare_exchange_weak(next, this, std::memory_order_acq_rel)) {
  }
}

void fast_socket::bury_the_dead() {
  fast_socket* each = dead_.exchange(nullptr, std::memory_order_acq_rel);
  while (each != nullptr) {
    fast_socket* following = each->next;
    each->destroy();
    each = following;
  }
}

void fast_socket::destroy() {
  tell_nested();
  fastudp_socket_close(handle_);
  table.store(companion_, entry::kernel);
  close_uncancelled(companion_);
  sockets.give(this);
}

void fast_socket::tell_nested() {
  const std::uint32_t received = nested_received_.exchange(0, std::memory_order_relaxed);
  const std::uint32_t sent = nested_sent_.exchange(0, std::memory_order_relaxed);
  if (received + sent != 0) fastudp_socket_count(handle_, received, sent, library::reason(cause::nested));
}

fast_socket* pin_socket(int fd) {
  entry found = table.load(fd);
  if (found.is_unknown()) {
    look_at(fd);
    found = table.load(fd);
  }
  for (fast_socket* s = found.socket(); s != nullptr; s = found.socket()) {
    if (s->pin()) {
      if (table.load(fd) == found) return s;
      s->unpin();
    }
    found = table.load(fd);
  }
  return nullptr;
}

}  // namespace preload
