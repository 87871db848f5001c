#include "epoll_set.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "events.h"
#include "fast_socket.h"
#include "library.h"
#include "pool.h"
#include "real.h"

namespace preload {
namespace {

constinit pool<epoll_set, &epoll_set::next> sets;

// What the kernel would say of a member that it has: EPOLLEXCLUSIVE goes with few others, and is for adding only.
bool is_badly_exclusive(int operation, std::uint32_t events) {
  constexpr std::uint32_t goes_along =
      EPOLLEXCLUSIVE | EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET;
  return (events & EPOLLEXCLUSIVE) && (operation == EPOLL_CTL_MOD || (events & ~goes_along) != 0);
}

template <typename Visit>
void for_each_set(const Visit& visit) {
  table.for_each_from(0, [&](int fd, entry) {
    if (epoll_set* set = epoll_set::pin(fd)) {
      visit(*set, fd);
      set->unpin();
    }
  });
}

}  // namespace

epoll_set* epoll_set::make() {
  epoll_set* out = sets.take();
  if (out == nullptr) return nullptr;
  out->numbers_ = 1;
  out->references_.store(1, std::memory_order_release);
  return out;
}

void epoll_set::follow(int fd) {
  if (fd < 0 || table.load(fd).is_internal()) return;
  epoll_set* made = make();
  if (made != nullptr && !table.store(fd, entry(made))) made->unpin();
}

epoll_set* epoll_set::pin(int fd) {
  const entry found = table.load(fd);
  epoll_set* set = found.set();
  std::uint32_t now = set == nullptr ? 0 : set->references_.load(std::memory_order_relaxed);
  while (now != 0 && !set->references_.compare_exchange_weak(now, now + 1)) {
  }
  if (now == 0) return nullptr;
  if (table.load(fd) == found) return set;
  set->unpin();
  return nullptr;
}

void epoll_set::unpin() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  while (members_.size() != 0) bury(members_.size() - 1);
  if (rouser_ >= 0) {
    table.store(rouser_, entry::kernel);
    close_uncancelled(rouser_);
    rouser_ = -1;
  }
  sets.give(this);
}

bool epoll_set::is_alive(const member& m) const {
  if (m.inner != nullptr) return !m.inner->is_closed();
  return m.socket->identity() == m.identity && !m.socket->is_closed();
}

void epoll_set::bury(std::size_t i) {
  epoll_set* inner = members_[i].inner;
  members_.remove(i);
  size_.store(members_.size(), std::memory_order_release);
  if (inner != nullptr) inner->unpin();
}

epoll_set::member* epoll_set::find(int fd, const fast_socket* socket, const epoll_set* inner) {
  for (member& m : members_) {
    if (m.fd == fd && m.socket == socket && m.inner == inner && is_alive(m)) return &m;
  }
  return nullptr;
}

bool epoll_set::has_fast() {
  if (size_.load(std::memory_order_acquire) == 0) return false;
  mutex_guard held(mutex_);
  for (member& m : members_) {
    if (m.inner == nullptr ? is_alive(m) : m.inner->has_fast()) return true;
  }
  return false;
}

int epoll_set::control(int set, int operation, int fd, fast_socket* socket, epoll_set* inner, epoll_event* event) {
  mutex_guard held(mutex_);
  member* known = find(fd, socket, inner);
  if (operation == EPOLL_CTL_ADD && (known == nullptr || known->is_in_kernel)) {
    return add(set, fd, socket, inner, event);
  }
  if (known == nullptr || event == nullptr) {
    if (known == nullptr || operation != EPOLL_CTL_DEL) return real.epoll_ctl(set, operation, fd, event);
  }
  if (operation == EPOLL_CTL_DEL) return remove(set, *known);
  if (!known->is_in_kernel && is_badly_exclusive(operation, event->events)) {
    errno = EINVAL;
    return -1;
  }
  if (operation == EPOLL_CTL_MOD) return modify(set, *known, event);
  errno = operation == EPOLL_CTL_ADD ? EEXIST : EINVAL;
  return -1;
}

int epoll_set::add(int set, int fd, fast_socket* socket, epoll_set* inner, epoll_event* event) {
  if (real.epoll_ctl(set, EPOLL_CTL_ADD, fd, event) != 0) return -1;
  member m;
  m.fd = fd;
  m.socket = socket;
  m.inner = inner;
  m.event = *event;
  if (socket != nullptr) {
    m.identity = socket->identity();
    m.sends = socket->sends.load();
  }
  if (inner != nullptr) inner->references_.fetch_add(1, std::memory_order_relaxed);
  members_.add(m);
  change();
  return 0;
}

int epoll_set::modify(int set, member& m, epoll_event* event) {
  if (real.epoll_ctl(set, m.is_in_kernel ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, m.fd, event) != 0) return -1;
  m.event = *event;
  m.is_in_kernel = true;
  m.known = member::none;
  ++m.reports;
  m.is_disabled = false;
  change();
  return 0;
}

int epoll_set::remove(int set, member& m) {
  if (m.is_in_kernel && real.epoll_ctl(set, EPOLL_CTL_DEL, m.fd, nullptr) != 0) return -1;
  bury(static_cast<std::size_t>(&m - members_.begin()));
  change();
  return 0;
}

void epoll_set::change() {
  size_.store(members_.size(), std::memory_order_release);
  if (waiters_ == 0) return;
  outdated_ += waiters_;
  waiters_ = 0;
  ++generation_;
  const std::uint64_t one = 1;
  raw<ssize_t>(SYS_write, rouser_, &one, sizeof one);
}

void epoll_set::rouse() {
  mutex_guard held(mutex_);
  change();
}

void epoll_set::rouse_all() {
  for_each_set([](epoll_set& set, int) { set.rouse(); });
}

// A one-shot member that has been reported comes back with nothing but its errors.
void epoll_set::restore(int set) {
  mutex_guard held(mutex_);
  for (member& m : members_) {
    if (m.is_in_kernel || !is_alive(m)) continue;
    epoll_event disabled = m.event;
    disabled.events = EPOLLONESHOT;
    m.is_in_kernel = real.epoll_ctl(set, EPOLL_CTL_ADD, m.fd, &disabled) == 0;
  }
}

void epoll_set::restore_all() {
  for_each_set([](epoll_set& set, int fd) { set.restore(fd); });
}

void epoll_set::leave(std::uint64_t generation) {
  mutex_guard held(mutex_);
  if (generation == generation_) {
    --waiters_;
  } else if (--outdated_ == 0) {
    std::uint64_t count;
    raw<ssize_t>(SYS_read, rouser_, &count, sizeof count);
  }
}

void epoll_set::begin_anew() {
  mutex_ = PTHREAD_MUTEX_INITIALIZER;
  waiters_ = outdated_ = 0;
  if (rouser_ < 0) return;
  table.store(rouser_, entry::kernel);
  close_uncancelled(rouser_);  // the parent's too
  rouser_ = -1;
}

void epoll_set::begin_all_anew() {
  for_each_set([](epoll_set& set, int) { set.begin_anew(); });
}

bool epoll_set::has_sent(const member& m) {
  return (m.event.events & (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)) && m.sends != m.socket->sends.load();
}

// Linux puts a member on its list of those to be told whenever something comes for it, and takes it off when it is
// told, under EPOLLET whatever it has then. So an edge is owed while there is an arrival that hasn't been told; what is
// told is all that it has, writing too. Of that the kernel tells the first edge, and there is another when something
// was sent.
short epoll_set::asked_of(const member& m) const {
  const short out = asked(*m.socket, m.event.events);
  if (!(m.event.events & EPOLLET)) return out;
  const bool is_told_of_datagrams = m.event.events & (EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND);
  const bool has_all = has_sent(m) || (is_told_of_datagrams && m.known != member::none);
  return static_cast<short>((has_all ? out : out & ~POLLOUT) | FASTUDP_EDGE);
}

bool epoll_set::add_member_to(watch& list, std::size_t i, const watch::origin& from) {
  member& m = members_[i];
  m.is_told = false;
  watch::origin here = from;
  if (!from.is_nested) here.member = i;
  if (m.inner != nullptr) {
    here.is_nested = true;
    const bool is_asked = (m.event.events & (EPOLLIN | EPOLLRDNORM)) && !m.is_disabled;
    return !is_asked || m.inner->add_to(list, here);
  }
  if (m.is_disabled || !m.socket->begin_watch()) return true;
  here.reports = m.reports;
  if (list.add_member(m.socket, asked_of(m), has_sent(m) ? member::none : m.known, here)) return true;
  m.socket->end_watch();
  return false;
}

bool epoll_set::add_to(watch& list, const watch::origin& from) {
  mutex_guard held(mutex_);
  if (rouser_ < 0) rouser_ = library::keep(real.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (rouser_ < 0 || !list.add_set(this, rouser_, generation_)) return false;
  ++waiters_;
  for (std::size_t i = members_.size(); i-- > 0;) {
    if (!is_alive(members_[i])) bury(i);
  }
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (!add_member_to(list, i, from)) return false;
  }
  return true;
}

void epoll_set::reported(int set, member& m) {
  if (m.socket != nullptr && (m.event.events & EPOLLET)) {
    m.sends = m.socket->sends.load();
    ++m.reports;
  }
  if (!(m.event.events & EPOLLONESHOT)) return;
  m.is_disabled = true;
  // The kernel would still report its half. Disabled sets report errors, so it has to go until it is armed again.
  const int error = errno;
  if (real.epoll_ctl(set, EPOLL_CTL_DEL, m.fd, nullptr) == 0) m.is_in_kernel = false;
  errno = error;
}

// Unless another thread has told of it since this one looked.
bool epoll_set::is_news(watch& list, std::size_t item, member& m) {
  if (!(m.event.events & EPOLLET)) return true;
  if (m.reports != list.from(item).reports) return false;
  m.known = list.last_arrival(item);
  return true;
}

unsigned epoll_set::events_of(watch& list, std::size_t item, member& m) {
  if ((m.is_disabled && !m.is_told) || !is_alive(m)) return 0;
  const short found = list.found(item);
  if (m.inner != nullptr) {
    return found != 0 && list.from(item).is_nested ? m.event.events & (EPOLLIN | EPOLLRDNORM) : 0;
  }
  if (m.socket != list.from(item).socket || !is_news(list, item, m) || found == 0) return 0;
  // An edge brings all that is there; writing always is.
  const int also = m.event.events & EPOLLET ? POLLOUT : 0;
  return told(*m.socket, m.event.events, static_cast<short>(found | also));
}

int epoll_set::collect(watch& list, std::size_t turn, int set, epoll_event* events, int n, int most) {
  mutex_guard held(mutex_);
  for (std::size_t k = 0; k < list.size() && n < most; ++k) {
    const std::size_t i = (turn / 2 + k) % list.size();
    const watch::origin& from = list.from(i);
    if (!from.is_watched || from.member >= members_.size()) continue;
    member& m = members_[from.member];
    epoll_event found = m.event;
    found.events = events_of(list, i, m);
    if (found.events == 0) continue;
    n = join_held(events, n, found);
    reported(set, m);
  }
  return n;
}

bool epoll_set::are_joined(const epoll_event& one, const epoll_event& other) {
  if (one.data.u64 != other.data.u64) return false;
  if ((other.events & ~one.events) == 0 || (one.events & ~other.events) == 0) return true;
  const auto is_same = [&](const member& m) { return m.event.data.u64 == one.data.u64; };
  return std::count_if(members_.begin(), members_.end(), is_same) < 2;
}

int epoll_set::join_held(epoll_event* events, int n, const epoll_event& another) {
  int same = 0;
  while (same < n && !are_joined(events[same], another)) ++same;
  if (same < n) {
    events[same].events |= another.events;
    return n;
  }
  events[n] = another;
  return n + 1;
}

int epoll_set::join(epoll_event* events, int n, const epoll_event& another) {
  mutex_guard held(mutex_);
  return join_held(events, n, another);
}

void epoll_set::kernel_told(const epoll_event& event) {
  mutex_guard held(mutex_);
  for (member& m : members_) {
    if (!(m.event.events & EPOLLONESHOT) || m.event.data.u64 != event.data.u64 || m.is_disabled) continue;
    m.is_disabled = m.is_told = true;
  }
}

}  // namespace preload
