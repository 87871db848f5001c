#pragma once
// How threads wait on a stack: one leads, that is, sleeps on the link's descriptor and polls when it wakes; the others
// sleep each on a word of their own, so that a datagram wakes the one thread that it is for.

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "base/time.h"
#include "endpoint/clock.h"
#include "endpoint/lock.h"
#include "link/link.h"

namespace fastudp {

// One of many things that a thread waits for. The layout is that of fastudp_wait_item.
struct wait_item {
  void* socket;     // null: the descriptor
  std::int32_t fd;  // or, of a socket and with ready::edge, the last arrival that is known
  std::int16_t events, revents;
};

// What a thread waits for.
struct wish {
  const void* interest = nullptr;          // the socket; null: anything
  std::span<const wait_item> any_of = {};  // or one of many
  bool only_looks = false;                 // and takes nothing, so that there is enough for another
  // Descriptors that it waits for as well, behind `reserved` entries that are the room's.
  std::span<pollfd> watched = {};
  const sigset_t* signal_mask = nullptr;  // while it sleeps

  static constexpr std::size_t reserved = 3;
};

// What a sleep tells of the host's news: companions that have something, changes to routes and neighbours.
enum class host_news : std::uint8_t {
  unknown,  // it is time to look
  none,     // at the end of the sleep
  some,
  elsewhere,  // another thread leads, and looks
};

// One thread that waits. The room's, not on the thread's stack: a signal handler may leave a call by siglongjmp, or the
// thread be cancelled, and the stack be used for something else before the room learns of it.
struct waiter : wish {
  pthread_t thread{};
  int bell = -1;  // wakes it from sleeping on its own descriptors
  waiter* next = nullptr;
  waiter* previous = nullptr;
  bool asleep = false;
  host_news news = host_news::unknown;  // after a sleep
  std::atomic<std::uint32_t> woken{0};

  bool waits_for(const void* what) const;
};

// All but the constructor and wake-ups from other threads is called with the lock held.
class waiting_room {
 public:
  waiting_room(lock& guard, clock& time) : guard_(guard), clock_(time) {}
  waiting_room(const waiting_room&) = delete;
  waiting_room& operator=(const waiting_room&) = delete;
  ~waiting_room();
  status open();

  // A descriptor that a leader sleeps on as well: readable when the host has news.
  void also_watch(int fd) { watched_fd_ = fd; }

  // Null: no memory. What this thread has left behind by a siglongjmp, or in a call that it was cancelled in, is
  // cleared away.
  waiter* enter(const wish& what);
  // Whoever leaves makes sure that somebody else leads, if somebody else is there.
  void leave(waiter& w);

  // Sleeps, without the lock, until woken, until the link has something, or until the earlier of the two times: `limit`
  // is the waiter's own, `work_due` the stack's. EINTR: a signal was handled.
  status sleep(waiter& w, link& device, time_point limit, time_point work_due);

  // In a child after fork: nobody waits here.
  void forget_all() { first_ = leader_ = nullptr; }  // their memory may be in use
  // In a process that goes on with a stack of its own: nothing here is anybody else's any more.
  status start_anew();
  // Whether a thread waits for this; null: for anything by name.
  bool is_awaited(const void* interest) const;
  // Sleeps on the waiter's own descriptors, and on nothing of the stack's, which is another process's.
  status sleep_alone(waiter& w, time_point limit);
  // Wakes all that wait for `interest`.
  void wake_all(const void* interest);
  // Wakes one thread that waits for `interest` and all that only look at it, or else one that waits for anything.
  void wake_one(const void* interest);
  void wake(waiter& w);
  // The stack has work to do at `when`; a leader that would sleep longer is woken.
  void work_due(time_point when) {
    if (leader_ != nullptr && when < leader_until_) wake(*leader_);
  }

 private:
  void unlink(waiter& w);
  status lead(waiter& w, link& device, time_point until);
  status follow(waiter& w, time_point until);
  status follow_on_descriptors(waiter& w, time_point until);

  lock& guard_;
  clock& clock_;
  waiter* first_ = nullptr;
  waiter* free_ = nullptr;
  waiter* leader_ = nullptr;
  time_point leader_until_ = never;
  int kick_fd_ = -1;  // wakes the leader
  int watched_fd_ = -1;
};

}  // namespace fastudp
