// select, by way of poll's events. Without anything of ours in the sets it is libc's own.

#include <limits.h>
#include <sys/resource.h>

#include <bit>

#include "call.h"
#include "clock.h"
#include "growing.h"
#include "real.h"
#include "waiting.h"

using namespace preload;

namespace {

// As Linux groups them.
constexpr short readable = POLLIN | 0x40 /* POLLRDNORM */ | 0x80 /* POLLRDBAND */ | POLLHUP | POLLERR;
constexpr short writable = POLLOUT | 0x100 /* POLLWRNORM */ | 0x200 /* POLLWRBAND */ | POLLERR;

using word = unsigned long;
constexpr int word_bits = CHAR_BIT * sizeof(word);

// The three sets of a call, and what is found, as words: the sets may be longer than libc's own type, or shorter.
class selection {
 public:
  selection(int count, fd_set* in, fd_set* out, fd_set* extra)
      : count_(count), given_{words(in), words(out), words(extra)} {}

  int words_in_use() const { return (count_ + word_bits - 1) / word_bits; }
  // The descriptors of word `at` that are in any set.
  word any(int at) const {
    word out = 0;
    for (const word* set : given_) out |= set != nullptr ? set[at] : 0;
    const int rest = count_ - at * word_bits;
    return rest < word_bits ? out & ((word{1} << rest) - 1) : out;
  }
  // Until visit(fd) returns false; then so does this.
  template <typename Visit>
  bool for_each(const Visit& visit) const {
    for (int at = 0; at < words_in_use(); ++at) {
      for (word left = any(at); left != 0; left &= left - 1) {
        if (!visit(at * word_bits + std::countr_zero(left))) return false;
      }
    }
    return true;
  }

  short wanted(int fd) const {
    return static_cast<short>((has(0, fd) ? POLLIN : 0) | (has(1, fd) ? POLLOUT : 0) | (has(2, fd) ? POLLPRI : 0));
  }
  bool make_room() {
    for (int i = 0; i < 3 * words_in_use(); ++i) {
      if (!found_.add(0)) return false;
    }
    return true;
  }
  // True: it is something that was asked for.
  bool note(int fd, unsigned events) {
    const bool hits[] = {(events & readable) != 0, (events & writable) != 0, (events & POLLPRI) != 0};
    bool any_hit = false;
    for (int set = 0; set < 3; ++set) {
      if (!hits[set] || !has(set, fd)) continue;
      found_[place(set, fd)] |= bit(fd);
      any_hit = true;
    }
    return any_hit;
  }
  // Writes what was found over what was asked. Returns how many.
  int deliver() {
    int total = 0;
    for (int set = 0; set < 3; ++set) {
      for (int at = 0; given_[set] != nullptr && at < words_in_use(); ++at) {
        given_[set][at] = found_[place(set, at * word_bits)];
        total += std::popcount(given_[set][at]);
      }
    }
    return total;
  }

 private:
  static word* words(fd_set* set) { return reinterpret_cast<word*>(set); }
  static word bit(int fd) { return word{1} << (fd % word_bits); }
  std::size_t place(int set, int fd) const { return static_cast<std::size_t>(set * words_in_use() + fd / word_bits); }
  bool has(int set, int fd) const { return given_[set] != nullptr && (given_[set][fd / word_bits] & bit(fd)); }

  int count_;
  word* given_[3];
  growing<word, 3 * FD_SETSIZE / word_bits> found_;
};

bool any_is_ours(const selection& sets) {
  return !sets.for_each([](int fd) { return !is_ours(fd); });
}

bool are_foreign(int count, const fd_set* in, const fd_set* out, const fd_set* extra) {
  for (const fd_set* each : {in, out, extra}) {
    const auto* words = reinterpret_cast<const word*>(each);
    for (int at = 0; words != nullptr && at * word_bits < count; ++at) {
      for (word left = words[at]; left != 0; left &= left - 1) {
        if (!is_surely_not_ours(at * word_bits + std::countr_zero(left))) return false;
      }
    }
  }
  return true;
}

// Returns how many items said something that was asked for, or -errno.
int note_all(watch& list, selection& sets) {
  int hits = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto fd = static_cast<int>(list.from(i).owner);
    const unsigned events = told_by(list, i, readable | writable | POLLPRI);
    if (events & POLLNVAL) return -EBADF;
    if (events == 0) continue;
    if (sets.note(fd, events)) {
      ++hits;
    } else {
      list.pass_over(i);  // poll tells of errors and hang-ups unasked
    }
  }
  return hits;
}

// One list, until something is found, time is over, or an epoll set was changed: then 0.
int select_once(watch& list, selection& sets, const time_limit& limit, const sigset_t* mask) {
  for (;;) {
    const int found = list.wait_as_poll(limit.left(), mask);
    if (found <= 0) return found;
    const int hits = note_all(list, sets);
    if (hits != 0 || list.was_roused()) return hits;
  }
}

int select_all(watch* room, selection& sets, const time_limit& limit, const sigset_t* mask) {
  if (room == nullptr || !sets.make_room()) return -ENOMEM;
  watch& list = *room;
  for (;;) {
    list.clear();
    const bool added =
        sets.for_each([&](int fd) { return add_any(list, fd, sets.wanted(fd), static_cast<std::size_t>(fd)); });
    if (!added) return -ENOMEM;
    const int hits = select_once(list, sets, limit, mask);
    if (hits < 0) return hits;
    if (hits != 0 || limit.left() == 0) return sets.deliver();
  }
}

// Programs give the largest number of descriptors that there may be, whatever their sets' size; the kernel looks no
// further than its table goes.
int limited(int count) {
  rlimit limit{};
  if (count <= FD_SETSIZE || getrlimit(RLIMIT_NOFILE, &limit) != 0) return count;
  return static_cast<rlim_t>(count) >= limit.rlim_cur ? FD_SETSIZE : count;
}

struct outcome {
  bool is_ours;
  int result;
};

// `finish` gets the limit at the end of a call that was ours.
template <typename Finish>
[[gnu::noinline]] outcome select_ours(int count, fd_set* in, fd_set* out, fd_set* extra, std::int64_t timeout,
                                      const sigset_t* mask, const Finish& finish) {
  if (count <= 0) return {false, 0};
  selection sets(limited(count), in, out, extra);
  if (!any_is_ours(sets)) return {false, 0};
  const waiting outermost;
  if (!outermost) return {false, 0};
  const time_limit limit(timeout);
  const int found = give_int(select_all(outermost.list(), sets, limit, mask));
  finish(limit);
  return {true, found};
}

std::int64_t to_ns(const timeval& t) {
  return preload::to_ns({.tv_sec = t.tv_sec + t.tv_usec / 1'000'000, .tv_nsec = t.tv_usec % 1'000'000 * 1000});
}

[[gnu::noinline]] int select_any(int count, fd_set* in, fd_set* out, fd_set* extra, timeval* timeout) {
  const auto tell_the_rest = [timeout](const time_limit& limit) {
    if (timeout == nullptr) return;
    const timespec left = to_timespec(limit.left());
    *timeout = {.tv_sec = left.tv_sec, .tv_usec = left.tv_nsec / 1000};
  };
  const outcome o =
      select_ours(count, in, out, extra, timeout == nullptr ? -1 : ::to_ns(*timeout), nullptr, tell_the_rest);
  return o.is_ours ? o.result : real.select(count, in, out, extra, timeout);
}

}  // namespace

// As Linux does, the time that is left is written back, after a signal too.
int hook::select(int count, fd_set* in, fd_set* out, fd_set* extra, timeval* timeout) {
  const bool is_wrong = timeout != nullptr && (timeout->tv_sec < 0 || timeout->tv_usec < 0);
  const bool is_plain = is_wrong || (count <= FD_SETSIZE && are_foreign(count, in, out, extra));
  if (is_plain) return real.select(count, in, out, extra, timeout);
  return select_any(count, in, out, extra, timeout);
}

int hook::pselect(int count, fd_set* in, fd_set* out, fd_set* extra, const timespec* timeout, const sigset_t* mask) {
  if (timeout != nullptr && !is_sane(*timeout)) return real.pselect(count, in, out, extra, timeout, mask);
  const outcome o = select_ours(count, in, out, extra, timeout == nullptr ? -1 : preload::to_ns(*timeout), mask,
                                [](const time_limit&) {});
  return o.is_ours ? o.result : real.pselect(count, in, out, extra, timeout, mask);
}
