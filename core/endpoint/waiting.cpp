#include "endpoint/waiting.h"

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

namespace fastudp {
namespace {

// A sleeper without a limit still looks up now and then: a futex wait with a time is never restarted behind our back,
// so that a handled signal is always seen.
constexpr duration longest_sleep = 3600 * second;

// libc's functions that sleep can be cancelled; a call by number can be while this exists.
class cancellable {
 public:
  cancellable() { pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before_); }
  ~cancellable() { pthread_setcanceltype(before_, nullptr); }
  cancellable(const cancellable&) = delete;
  cancellable& operator=(const cancellable&) = delete;

 private:
  int before_ = PTHREAD_CANCEL_DEFERRED;
};

// Returns errno, or 0.
int sleep_on(std::atomic<std::uint32_t>& word, const timespec& span) {
  const cancellable c;
  return ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &span, nullptr, 0) < 0 ? errno : 0;
}

timespec to_timespec(duration span) { return {static_cast<time_t>(span / second), static_cast<long>(span % second)}; }

}  // namespace

bool waiter::waits_for(const void* what) const {
  if (interest == what) return true;
  return std::ranges::any_of(any_of, [what](const wait_item& each) { return each.socket == what; });
}

waiting_room::~waiting_room() {
  if (kick_fd_ >= 0) ::close(kick_fd_);
  while (free_ != nullptr) delete std::exchange(free_, free_->next);
}

status waiting_room::open() {
  kick_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return kick_fd_ >= 0 ? status{} : error{errno};
}

status waiting_room::start_anew() {
  const int kick = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (kick < 0) return error{errno};
  ::close(std::exchange(kick_fd_, kick));
  first_ = leader_ = nullptr;
  return {};
}

bool waiting_room::is_awaited(const void* interest) const {
  for (const waiter* w = first_; w != nullptr; w = w->next) {
    const bool has_name = w->interest != nullptr || !w->any_of.empty();
    if (interest == nullptr ? has_name : w->waits_for(interest)) return true;
  }
  return false;
}

waiter* waiting_room::enter(const wish& what) {
  const pthread_t self = pthread_self();
  for (waiter *w = first_, *next = nullptr; w != nullptr; w = next) {
    next = w->next;
    if (pthread_equal(w->thread, self)) unlink(*w);
  }
  if (free_ == nullptr) free_ = new (std::nothrow) waiter;
  if (free_ == nullptr) return nullptr;
  waiter* w = std::exchange(free_, free_->next);
  static_cast<wish&>(*w) = what;
  w->thread = self;
  w->bell = -1;
  w->asleep = false;
  w->woken.store(0, std::memory_order_relaxed);
  w->next = first_;
  w->previous = nullptr;
  if (first_ != nullptr) first_->previous = w;
  first_ = w;
  return w;
}

void waiting_room::unlink(waiter& w) {
  (w.previous != nullptr ? w.previous->next : first_) = w.next;
  if (w.next != nullptr) w.next->previous = w.previous;
  if (leader_ == &w) leader_ = nullptr;
  if (w.bell >= 0) ::close(std::exchange(w.bell, -1));  // of one that was left
  w.next = free_;
  free_ = &w;
}

void waiting_room::leave(waiter& w) {
  unlink(w);
  if (leader_ == nullptr && first_ != nullptr) wake(*first_);
}

status waiting_room::sleep(waiter& w, link& device, time_point limit, time_point work_due) {
  w.news = leader_ != nullptr ? host_news::elsewhere : host_news::unknown;
  if (w.woken.exchange(0, std::memory_order_relaxed) != 0) return {};
  const time_point latest = clock_.precise() + longest_sleep;
  if (leader_ != nullptr && !w.watched.empty()) return follow_on_descriptors(w, std::min(limit, latest));
  if (leader_ != nullptr) return follow(w, std::min(limit, latest));
  if (!device.arm()) return {};
  return lead(w, device, std::min({limit, work_due, latest}));
}

status waiting_room::lead(waiter& w, link& device, time_point until) {
  leader_ = &w;
  leader_until_ = until;
  const timespec span = to_timespec(std::max<duration>(until - clock_.precise(), 0));
  pollfd own[wish::reserved];
  const std::span<pollfd> watched = w.watched.empty() ? std::span<pollfd>(own) : w.watched;
  watched[0] = {device.wait_fd(), POLLIN, 0};
  watched[1] = {kick_fd_, POLLIN, 0};
  watched[2] = {watched_fd_, POLLIN, 0};
  w.asleep = true;
  guard_.give_up();
  const int ready = ::ppoll(watched.data(), watched.size(), &span, w.signal_mask);
  const int problem = ready < 0 ? errno : 0;
  guard_.acquire();
  w.asleep = false;
  leader_ = nullptr;
  w.news = problem != 0 ? host_news::unknown : watched[2].revents != 0 ? host_news::some : host_news::none;
  std::uint64_t kicks;
  if (w.woken.exchange(0, std::memory_order_relaxed) != 0) (void)!::read(kick_fd_, &kicks, sizeof kicks);
  return problem == 0 ? status{} : error{problem};
}

status waiting_room::follow(waiter& w, time_point until) {
  const timespec span = to_timespec(std::max<duration>(until - clock_.precise(), 0));
  w.asleep = true;
  guard_.give_up();
  const int problem = w.woken.load(std::memory_order_acquire) == 0 ? sleep_on(w.woken, span) : 0;
  guard_.acquire();
  w.asleep = false;
  w.woken.store(0, std::memory_order_relaxed);
  return problem == EINTR ? status(error{EINTR}) : status{};
}

// It has descriptors of its own to sleep on, and so needs one to be woken by.
status waiting_room::follow_on_descriptors(waiter& w, time_point until) {
  w.bell = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (w.bell < 0) return error{errno};
  const timespec span = to_timespec(std::max<duration>(until - clock_.precise(), 0));
  w.watched[0] = {w.bell, POLLIN, 0};
  w.watched[1] = w.watched[2] = {-1, 0, 0};
  w.asleep = true;
  guard_.give_up();
  const int ready = ::ppoll(w.watched.data(), w.watched.size(), &span, w.signal_mask);
  const int problem = ready < 0 ? errno : 0;
  guard_.acquire();
  w.asleep = false;
  w.woken.store(0, std::memory_order_relaxed);
  ::close(std::exchange(w.bell, -1));
  return problem == 0 ? status{} : error{problem};
}

status waiting_room::sleep_alone(waiter& w, time_point limit) {
  return follow_on_descriptors(w, std::min(limit, clock_.precise() + longest_sleep));
}

void waiting_room::wake_all(const void* interest) {
  for (waiter* w = first_; w != nullptr; w = w->next) {
    if (w->waits_for(interest)) wake(*w);
  }
}

void waiting_room::wake_one(const void* interest) {
  waiter *general = nullptr, *taker = nullptr;
  bool looked_at = false;
  for (waiter* w = first_; w != nullptr; w = w->next) {
    if (w->only_looks && w->waits_for(interest)) {
      wake(*w);
      looked_at = true;
    } else if (w->woken.load(std::memory_order_relaxed) == 0) {
      if (w->interest == interest && taker == nullptr) taker = w;
      if (w->interest == nullptr && w->any_of.empty()) general = w;
    }
  }
  if (taker != nullptr) return wake(*taker);
  if (general != nullptr && !looked_at) wake(*general);
}

void waiting_room::wake(waiter& w) {
  if (w.woken.exchange(1, std::memory_order_release) != 0 || !w.asleep) return;
  if (&w == leader_ || w.bell >= 0) {
    const std::uint64_t one = 1;
    (void)!::write(&w == leader_ ? kick_fd_ : w.bell, &one, sizeof one);
  } else {
    ::syscall(SYS_futex, &w.woken, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
}

}  // namespace fastudp
