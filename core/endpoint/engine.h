#pragma once
// A stack in the life of a program: opened from a URI, shared by threads, told the time, waited on.

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/counters.h"
#include "base/memory.h"
#include "base/reason.h"
#include "base/result.h"
#include "endpoint/clock.h"
#include "endpoint/lock.h"
#include "endpoint/waiting.h"
#include "link/link.h"
#include "link/uri.h"
#include "socket/udp_layer.h"
#include "stack/stack.h"

namespace fastudp {

struct engine_settings {
  std::uint64_t seed = 0;  // 0: from the kernel
  bool hand_clock = false;
  std::uint32_t neighbours = 0;  // 0: the default
  duration spin = 0;
};

class engine final : private socket_events {
 public:
  static result<std::unique_ptr<engine>> open(std::string_view uri, engine_settings settings, reason& why);
  ~engine();
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  // One call into the stack, from one thread: holds the lock and knows the time.
  class turn {
   public:
    explicit turn(engine& h) : engine_(h) {
      engine_.lock_.acquire();
      ++engine_.acquisitions_;
      now_ = engine_.clock_.coarse();
    }
    ~turn() {
      engine_.room_.work_due(engine_.stack_->deadline());
      engine_.lock_.give_up();
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    time_point now() const { return now_; }
    void look_at_clock() { now_ = engine_.clock_.precise(); }

   private:
    engine& engine_;
    time_point now_;
  };

  // All that follows is called within a turn.

  // Polls the stack for at most `budget` frames and sends what that made. Returns how many frames came.
  std::size_t work(turn& t, std::size_t budget = burst::capacity);
  // Sends off what calls have given to the stack, and looks after address resolution while a program only sends.
  void finish_sending(turn& t);
  // Works until `is_ready()` holds, or fails: EAGAIN at the time limit, EINTR. The waiter says who waits and what for.
  template <typename Condition>
  status wait_until(turn& t, waiter&& w, time_point limit, const Condition& is_ready);
  // Sleeps until something may have happened; true unless the limit came first.
  result<bool> wait_for_work(turn& t, time_point limit);

  fastudp::stack& stack() { return *stack_; }
  udp_layer& sockets() { return sockets_; }
  fastudp::clock& time() { return clock_; }
  // The point in time so many nanoseconds from now; never when negative.
  time_point limit_after(duration timeout);
  counters& count() { return counters_[0]; }
  std::uint64_t acquisitions() const { return acquisitions_; }
  const char* link_name() const { return link_->info().name; }
  bool owns(const packet& p) const;
  // More lies ready for `interest` than the thread at work took: another one that waits for it is woken.
  void pass_on(const void* interest) { room_.wake_one(interest); }

  // The descriptor for a program's own loop; from then on the link announces itself whenever it was found empty.
  int announce_work();
  // A thread that works while no call does.
  status start_helper();

  // Sockets open; close needs none.
  std::uint64_t open_sockets = 0;

 private:
  engine(const engine_settings& settings, shared_array<counters>&& count, const buffer_limits& limits)
      : clock_(settings.hand_clock),
        spin_(settings.spin),
        room_(lock_, clock_),
        counters_(std::move(count)),
        sockets_(counters_[0], *this, limits) {}
  status open_parts(uri& where, const engine_settings& settings, reason& why);
  status configure(uri& where, reason& why);
  void became_ready(udp_socket& socket) override;
  // EAGAIN when the limit has passed, or would never: a hand-held clock stands still.
  status out_of_time(turn& t, time_point limit);
  template <typename Condition>
  bool spin(turn& t, time_point limit, const Condition& is_ready);
  static void* run_helper(void* self);

  lock lock_;
  clock clock_;
  duration spin_;
  waiting_room room_;
  shared_array<counters> counters_;
  link_ptr link_;
  udp_layer sockets_;
  std::unique_ptr<fastudp::stack> stack_;
  std::uint64_t acquisitions_ = 0;
  bool program_waits_ = false;
  unsigned sends_since_work_ = 0;
  bool helper_runs_ = false, helper_must_stop_ = false;
  pthread_t helper_{};
};

template <typename Condition>
status engine::wait_until(turn& t, waiter&& w, time_point limit, const Condition& is_ready) {
  room_.enter(w);
  status outcome;
  for (bool interrupted = false;;) {
    work(t);
    if (is_ready()) break;
    if (outcome = interrupted ? status(error{EINTR}) : out_of_time(t, limit); !outcome) break;
    if (spin_ > 0 && spin(t, limit, is_ready)) break;
    interrupted = !room_.sleep(w, *link_, limit, stack_->deadline());
    t.look_at_clock();
  }
  room_.leave(w);
  return outcome;
}

template <typename Condition>
bool engine::spin(turn& t, time_point limit, const Condition& is_ready) {
  t.look_at_clock();
  const time_point until = std::min(limit, t.now() + spin_);
  while (t.now() < until) {
    lock_.give_up();  // others work meanwhile
    lock_.acquire();
    t.look_at_clock();
    work(t);
    if (is_ready()) return true;
  }
  return false;
}

}  // namespace fastudp
