#pragma once
// What a kernel epoll set has of ours. The set itself is real and has our sockets' companions in it, registered as the
// program asked; this remembers them, so that waiting looks at their fast halves too.

#include <pthread.h>
#include <sys/epoll.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "growing.h"
#include "table.h"
#include "watch.h"

namespace preload {

class fast_socket;

class alignas(64) epoll_set {
 public:
  // For an epoll descriptor that was just made.
  static void follow(int fd);
  // The set behind a descriptor, pinned, or null.
  static epoll_set* pin(int fd);
  void unpin();
  // A descriptor more, or less, refers to it; each holds a reference.
  void number_opened() { numbers_.fetch_add(1, std::memory_order_relaxed); }
  void number_closed() {
    numbers_.fetch_sub(1, std::memory_order_acq_rel);
    unpin();
  }
  bool is_closed() const { return numbers_.load(std::memory_order_acquire) == 0; }

  // Whether waiting for it needs us; surely not when it is empty, which needs no pin to look at.
  bool has_fast();
  bool is_empty() const { return size_.load(std::memory_order_acquire) == 0; }

  // epoll_ctl; one of `socket` and `inner` is what `fd` is. Both are the caller's.
  int control(int set, int operation, int fd, fast_socket* socket, epoll_set* inner, epoll_event* event);

  // Adds what is ours, and what rouses the wait when that changes. `owner` as in watch.
  bool add_to(watch& list, std::size_t owner) {
    watch::origin from;
    from.owner = owner;
    return add_to(list, from);
  }
  // Adds the events of what `list` found to the `n` that are there, beginning with another one each turn. `set` is our
  // descriptor. Returns how many there are then.
  int collect(watch& list, std::size_t turn, int set, epoll_event* events, int n, int most);
  // Adds one to the `n` that are there, or joins it with one of the other half of the same socket. Where members have
  // the same data, nobody can tell, and only what is said already is left out. Returns how many there are then.
  int join(epoll_event* events, int n, const epoll_event& another);
  // Grows with each wait: who comes first changes with it.
  std::size_t next_turn() { return turn_.fetch_add(1, std::memory_order_relaxed); }
  // One of the kernel's events: for a one-shot member it was the one.
  void kernel_told(const epoll_event& event);

  // An epoll call for it ends; it began with that generation.
  void leave(std::uint64_t generation);
  // All calls that wait look again.
  void rouse();
  // Threads that waited, or held a lock, don't exist in a child.
  void begin_anew();
  static void begin_all_anew();
  static void rouse_all();
  // The kernel's sets are to have all members again, since nothing will be ours.
  static void restore_all();

  epoll_set* next = nullptr;

 private:
  struct member {
    int fd = -1;
    fast_socket* socket = nullptr;  // alive while its identity is the same
    std::uint64_t identity = 0;
    epoll_set* inner = nullptr;  // or a set within the set, pinned
    epoll_event event{};
    bool is_in_kernel = true;  // a one-shot member that we reported is taken out of the real set
    bool is_disabled = false;
    bool is_told = false;  // by the kernel in this wait, which disabled it: our half belongs to the same event
    // Edge-triggered: up to which arrival all is reported, or was read; none: whatever is there is to be reported.
    int known = none;
    std::uint32_t sends = 0;
    std::uint32_t reports = 0;  // whoever looked before the last one looks again
    static constexpr int none = -1;
  };

  static epoll_set* make();
  int join_held(epoll_event* events, int n, const epoll_event& another);
  bool are_joined(const epoll_event& one, const epoll_event& other);
  member* find(int fd, const fast_socket* socket, const epoll_set* inner);
  bool is_alive(const member& m) const;
  void bury(std::size_t i);
  int add(int set, int fd, fast_socket* socket, epoll_set* inner, epoll_event* event);
  int modify(int set, member& m, epoll_event* event);
  int remove(int set, member& m);
  void change();
  void restore(int set);
  bool add_to(watch& list, const watch::origin& from);
  bool add_member_to(watch& list, std::size_t i, const watch::origin& from);
  short asked_of(const member& m) const;
  static bool has_sent(const member& m);
  void reported(int set, member& m);
  bool is_news(watch& list, std::size_t item, member& m);
  unsigned events_of(watch& list, std::size_t item, member& m);

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  std::atomic<std::uint32_t> references_{0}, numbers_{0};
  std::atomic<std::size_t> size_{0};
  growing<member, 8> members_;
  std::atomic<std::size_t> turn_{0};
  // Those who wait: with what is in the set now, and with what was in it before the last change, who are being roused.
  std::uint64_t generation_ = 0;
  std::uint32_t waiters_ = 0, outdated_ = 0;
  int rouser_ = -1;
};

}  // namespace preload
