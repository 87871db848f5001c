// Signals that come while they are held, and what is told of them.

#include "endpoint/held_signals.h"

#include <gtest/gtest.h>

namespace fastudp::test {
namespace {

volatile sig_atomic_t handled = 0;

void count_it(int) { handled = handled + 1; }

class held_signals_ : public testing::Test {
 protected:
  void SetUp() override { handled = 0; }
  void TearDown() override { ::signal(SIGUSR1, SIG_DFL); }
};

TEST_F(held_signals_, run_their_handlers_when_they_are_delivered) {
  ::signal(SIGUSR1, &count_it);
  const held_signals held;
  ::raise(SIGUSR1);
  EXPECT_EQ(handled, 0);
  EXPECT_TRUE(held.deliver());
  EXPECT_EQ(handled, 1);
  EXPECT_FALSE(held.deliver()) << "nothing has come since";
}

TEST_F(held_signals_, run_their_handlers_at_the_end_at_the_latest) {
  ::signal(SIGUSR1, &count_it);
  {
    const held_signals held;
    ::raise(SIGUSR1);
    EXPECT_EQ(handled, 0);
  }
  EXPECT_EQ(handled, 1);
}

TEST_F(held_signals_, without_a_handler_are_none) {
  ::signal(SIGUSR1, SIG_IGN);
  const held_signals held;
  ::raise(SIGUSR1);
  ::raise(SIGCHLD);  // ignored unless it has a handler
  EXPECT_FALSE(held.deliver());
}

TEST_F(held_signals_, stay_blocked_where_the_program_blocks_them) {
  ::signal(SIGUSR1, &count_it);
  sigset_t one, before;
  ::sigemptyset(&one);
  ::sigaddset(&one, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &one, &before);
  {
    const held_signals held;
    ::raise(SIGUSR1);
    EXPECT_FALSE(held.deliver());
  }
  EXPECT_EQ(handled, 0);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(handled, 1);
}

}  // namespace
}  // namespace fastudp::test
