#pragma once
// How threads wait on a stack: one leads, that is, sleeps on the link's descriptor and polls when it wakes; the others
// sleep each on a word of their own, so that a datagram wakes the one thread that it is for.

#include <atomic>
#include <cstdint>

#include "base/result.h"
#include "base/time.h"
#include "endpoint/clock.h"
#include "endpoint/lock.h"
#include "link/link.h"

namespace fastudp {

// One thread that waits; lives on its stack.
struct waiter {
  const void* interest = nullptr;  // the socket that it waits for; null: anything
  bool only_looks = false;         // and takes nothing, so that there is enough for another
  waiter* next = nullptr;
  waiter* previous = nullptr;
  bool asleep = false;
  std::atomic<std::uint32_t> woken{0};
};

// All but the constructor and wake-ups from other threads is called with the lock held.
class waiting_room {
 public:
  waiting_room(lock& guard, clock& time) : guard_(guard), clock_(time) {}
  waiting_room(const waiting_room&) = delete;
  waiting_room& operator=(const waiting_room&) = delete;
  ~waiting_room();
  status open();

  void enter(waiter& w);
  // Whoever leaves makes sure that somebody else leads, if somebody else is there.
  void leave(waiter& w);

  // Sleeps, without the lock, until woken, until the link has something, or until the earlier of the two times: `limit`
  // is the waiter's own, `work_due` the stack's. EINTR: a signal was handled.
  status sleep(waiter& w, link& device, time_point limit, time_point work_due);

  // Wakes one thread that waits for `interest` and all that only look at it, or else one that waits for anything.
  void wake_one(const void* interest);
  void wake(waiter& w);
  // The stack has work to do at `when`; a leader that would sleep longer is woken.
  void work_due(time_point when) {
    if (leader_ != nullptr && when < leader_until_) wake(*leader_);
  }

 private:
  status lead(waiter& w, link& device, time_point until);
  status follow(waiter& w, time_point until);

  lock& guard_;
  clock& clock_;
  waiter* first_ = nullptr;
  waiter* leader_ = nullptr;
  time_point leader_until_ = never;
  int kick_fd_ = -1;  // wakes the leader
};

}  // namespace fastudp
