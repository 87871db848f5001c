// Threads that wait on one stack: one leads, a datagram wakes the one that it is for, nobody is forgotten.

#include "endpoint/waiting.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "base/descriptor.h"
#include "support/fake_link.h"
#include "unit/endpoint/endpoint_support.h"

namespace fastudp {
namespace {

using test::mac_of;
using test::sleeper;

// A link that is always found empty, and says so on a descriptor.
class quiet_link final : public link {
 public:
  std::size_t rx_burst(burst&) override { return 0; }
  std::size_t tx_burst(const burst&) override { return 0; }
  void tx_flush() override {}
  int wait_fd() const override { return bell_.number(); }
  bool arm() override { return !has_frames; }
  const link_info& info() const override { return info_; }
  pool& frames() override { return *pool_; }
  void ring() { ::eventfd_write(bell_.number(), 1); }
  void silence() {
    eventfd_t times;
    ::eventfd_read(bell_.number(), &times);
  }

  std::atomic<bool> has_frames{false};

 private:
  descriptor bell_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  std::unique_ptr<pool> pool_ = std::move(*pool::create(1, 2048));
  link_info info_;
};

class room : public testing::Test {
 protected:
  room() { EXPECT_TRUE(room_.open()); }

  // One sleep of one thread, as wait_until does it. Returns the errno.
  int sleep(const void* interest, time_point limit = never, time_point work_due = never, bool only_looks = false) {
    guard_.acquire();
    waiter* w = room_.enter({.interest = interest, .only_looks = only_looks});
    const auto outcome = room_.sleep(*w, link_, limit, work_due);
    room_.leave(*w);
    guard_.give_up();
    return outcome.code();
  }
  template <typename Call>
  void locked(const Call& call) {
    guard_.acquire();
    call();
    guard_.give_up();
  }
  time_point precise() {
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * second + now.tv_nsec;
  }

  fastudp::lock guard_;
  fastudp::clock clock_{false};
  waiting_room room_{guard_, clock_};
  quiet_link link_;
  int a_ = 0, b_ = 0;  // to be waited for
};

TEST_F(room, who_leads_wakes_when_the_link_has_something) {
  sleeper leader([&] { EXPECT_EQ(sleep(&a_), 0); });
  leader.await_sleep();
  link_.ring();
}

TEST_F(room, nobody_sleeps_when_frames_are_there_already) {
  link_.has_frames = true;
  EXPECT_EQ(sleep(&a_), 0);
}

TEST_F(room, a_leader_that_leaves_wakes_a_successor) {
  std::vector<std::unique_ptr<sleeper>> all;
  std::atomic<int> woken{0};
  for (int i = 0; i < 8; ++i) {
    all.push_back(std::make_unique<sleeper>([&] {
      EXPECT_EQ(sleep(&a_), 0);
      ++woken;
    }));
    all.back()->await_sleep();
  }
  link_.ring();  // wakes the first; each that leaves wakes the next
  for (const auto& each : all) {
    while (!each->is_done()) std::this_thread::yield();
  }
  EXPECT_EQ(woken, 8);
}

TEST_F(room, one_is_woken_and_it_is_the_one_that_waits_for_it) {
  sleeper leader([&] { EXPECT_EQ(sleep(&b_), 0); });
  leader.await_sleep();
  sleeper follower([&] { EXPECT_EQ(sleep(&a_), 0); });
  follower.await_sleep();
  locked([&] { room_.wake_one(&a_); });
  while (!follower.is_done()) std::this_thread::yield();
  EXPECT_FALSE(leader.is_done());
  EXPECT_TRUE(test::is_readable(link_.wait_fd()) == false);
  locked([&] { room_.wake_one(&b_); });
}

TEST_F(room, who_waits_for_anything_is_woken_when_nobody_waits_for_that) {
  sleeper anything([&] { EXPECT_EQ(sleep(nullptr), 0); });
  anything.await_sleep();
  locked([&] { room_.wake_one(&a_); });
}

TEST_F(room, waking_before_the_sleep_is_not_lost) {
  guard_.acquire();
  waiter* w = room_.enter({.interest = &a_});
  room_.wake_one(&a_);
  EXPECT_TRUE(room_.sleep(*w, link_, never, never));
  room_.leave(*w);
  guard_.give_up();
}

TEST_F(room, two_wake_ups_wake_two) {
  sleeper one([&] { EXPECT_EQ(sleep(&a_), 0); });
  one.await_sleep();
  sleeper two([&] { EXPECT_EQ(sleep(&a_), 0); });
  two.await_sleep();
  locked([&] {
    room_.wake_one(&a_);
    room_.wake_one(&a_);
  });
}

TEST_F(room, all_that_only_look_are_woken_and_one_that_takes) {
  sleeper leader([&] { EXPECT_EQ(sleep(&b_), 0); });
  leader.await_sleep();
  std::vector<std::unique_ptr<sleeper>> takers, lookers;
  for (auto* list : {&takers, &lookers, &takers, &lookers}) {
    list->push_back(
        std::make_unique<sleeper>([this, looks = list == &lookers] { EXPECT_EQ(sleep(&a_, never, never, looks), 0); }));
    list->back()->await_sleep();
  }
  locked([&] { room_.wake_one(&a_); });
  for (const auto& each : lookers) {
    while (!each->is_done()) std::this_thread::yield();
  }
  while (!takers[0]->is_done() && !takers[1]->is_done()) std::this_thread::yield();
  EXPECT_NE(takers[0]->is_done(), takers[1]->is_done());
  locked([&] { room_.wake_one(&a_); });
  for (const auto& each : takers) {
    while (!each->is_done()) std::this_thread::yield();
  }
  link_.ring();
}

TEST_F(room, nobody_sleeps_less_than_it_said) {
  const time_point limit = precise() + 20 * millisecond;
  EXPECT_EQ(sleep(&a_, limit), 0);
  EXPECT_GE(precise(), limit);
  sleeper leader([&] { EXPECT_EQ(sleep(&b_), 0); });
  leader.await_sleep();
  const time_point next = precise() + 20 * millisecond;
  EXPECT_EQ(sleep(&a_, next), 0);  // as a follower
  EXPECT_GE(precise(), next);
  link_.ring();
}

TEST_F(room, a_limit_that_has_passed_does_not_sleep) {
  EXPECT_EQ(sleep(&a_, 0), 0);
  EXPECT_EQ(sleep(&a_, precise() - second), 0);
}

TEST_F(room, the_leader_wakes_for_the_stacks_work) {
  const time_point due = precise() + 5 * millisecond;
  EXPECT_EQ(sleep(&a_, never, due), 0);
  EXPECT_GE(precise(), due);
}

TEST_F(room, work_that_is_due_earlier_wakes_a_leader_that_would_sleep_longer) {
  sleeper leader([&] { EXPECT_EQ(sleep(&a_, never, precise() + 1000 * second), 0); });
  leader.await_sleep();
  locked([&] { room_.work_due(never); });
  EXPECT_FALSE(leader.is_done());
  locked([&] { room_.work_due(precise() + second); });
}

// Signals may come before the sleep begins, so that they are sent until one arrives in it.
TEST_F(room, a_handled_signal_ends_the_sleep_of_leader_and_follower) {
  for (const int flags : {0, SA_RESTART}) {
    const test::signal_handler handled(flags);
    sleeper leader([&] { EXPECT_EQ(sleep(&a_), EINTR); });
    leader.await_sleep();
    sleeper follower([&] { EXPECT_EQ(sleep(&b_), EINTR); });
    follower.await_sleep();
    for (sleeper* each : {&follower, &leader}) {
      while (!each->is_done()) each->interrupt(), std::this_thread::yield();
    }
  }
}

// As a siglongjmp out of a signal handler leaves it: the call never comes back.
TEST_F(room, a_thread_that_has_left_its_place_by_a_jump_takes_a_new_one) {
  guard_.acquire();
  for (int i = 0; i < 100; ++i) ASSERT_NE(room_.enter({.interest = &a_}), nullptr);
  waiter* w = room_.enter({.interest = &a_});
  room_.wake_one(&a_);
  EXPECT_TRUE(room_.sleep(*w, link_, never, never));
  room_.leave(*w);
  guard_.give_up();
}

TEST(lock, a_thread_that_jumped_away_with_it_still_has_it) {
  fastudp::lock guard;
  guard.acquire();
  guard.acquire();
  std::thread([&] { EXPECT_FALSE(guard.try_acquire()); }).join();
  guard.give_up();
  EXPECT_TRUE(guard.try_acquire());
  guard.give_up();
}

}  // namespace
}  // namespace fastudp
