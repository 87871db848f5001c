// What processes share of a stack, in processes of their own.

#include "endpoint/family.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "endpoint/ownership.h"

namespace fastudp::test {
namespace {

// Runs in a child; what it returns is what this does.
template <typename Work>
bool in_child(const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work() ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

class family_ : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(subject_.open()); }

  family subject_;
};

TEST_F(family_, its_first_process_has_the_first_end_and_there_is_no_other) {
  EXPECT_EQ(subject_.end(0).holder.load(), ::getpid());
  EXPECT_FALSE(subject_.has_spare_ends());
  const family::guard held(subject_);
  EXPECT_EQ(subject_.take_end(1).code(), EUSERS);
}

TEST_F(family_, each_end_is_taken_once_and_may_be_given_back) {
  subject_.add_ends();
  const family::guard held(subject_);
  for (unsigned end = 1; end < most_ends; ++end) EXPECT_EQ(*subject_.take_end(::getpid()), end);
  EXPECT_EQ(subject_.take_end(::getpid()).code(), EUSERS);
  subject_.end(3).holder = 0;
  EXPECT_EQ(*subject_.take_end(::getpid()), 3u);
}

TEST_F(family_, a_child_that_takes_an_end_is_seen_by_all) {
  subject_.add_ends();
  EXPECT_TRUE(in_child([&] {
    const family::guard held(subject_);
    return bool(subject_.take_end(::getpid()));
  }));
  EXPECT_NE(subject_.end(1).holder.load(), 0);
  EXPECT_TRUE(has_ended(subject_.end(1).holder.load()));
  EXPECT_FALSE(has_ended(::getpid()));
}

TEST_F(family_, whoever_is_killed_with_the_lock_leaves_it_to_the_others) {
  EXPECT_FALSE(in_child([&] {
    const family::guard held(subject_);
    return ::raise(SIGKILL) == 0;
  }));
  for (int times = 0; times < 2; ++times) const family::guard held(subject_);
}

TEST_F(family_, news_are_each_processs_to_see) {
  EXPECT_FALSE(subject_.has_news());
  EXPECT_TRUE(in_child([&] {
    subject_.tell();
    const bool has = subject_.has_news();
    subject_.news_are_seen();
    return has && !subject_.has_news();
  }));
  EXPECT_TRUE(subject_.has_news());
}

TEST_F(family_, a_socket_is_known_by_its_number_as_long_as_anybody_has_it) {
  shared_socket* one = subject_.take_socket(7, true);
  ASSERT_NE(one, nullptr);
  EXPECT_TRUE(one->is_fast);
  EXPECT_NE(subject_.take_socket(8, true), one);
  EXPECT_EQ(subject_.take_socket(7, false), one);
  EXPECT_TRUE(subject_.use(*one, 7));
  EXPECT_FALSE(subject_.use(*one, 8));
  for (int users = 0; users < 3; ++users) family::give_back(*one);
  EXPECT_EQ(one->users.load(), 0u);
}

TEST_F(family_, of_very_many_sockets_the_last_ones_are_no_strangers) {
  for (std::uint64_t cookie = 1; cookie <= 20'000; ++cookie) subject_.remember(cookie);
  EXPECT_TRUE(subject_.knows(20'000));
  EXPECT_TRUE(subject_.knows(10'000));
  EXPECT_FALSE(subject_.knows(1));
  EXPECT_FALSE(subject_.knows(20'001));
}

class owned : public family_ {
 protected:
  void SetUp() override {
    family_::SetUp();
    owner_.begin(subject_.end(0));
  }
  bool child_may_take_over() {
    return in_child([&] {
      owner_.start_as_child();
      return !owner_.is_ours() && owner_.take_over() && owner_.is_ours();
    });
  }

  ownership owner_;
};

TEST_F(owned, a_child_takes_over_what_nobody_has_used_since) {
  owner_.before_fork(false);
  EXPECT_TRUE(child_may_take_over());
  EXPECT_FALSE(owner_.is_ours());
}

TEST_F(owned, it_does_so_once_and_not_while_a_thread_waits_or_after_a_use) {
  owner_.before_fork(true);
  EXPECT_FALSE(child_may_take_over());
  owner_.before_fork(false);
  owner_.use();
  EXPECT_FALSE(child_may_take_over());
  owner_.before_fork(false);
  EXPECT_TRUE(child_may_take_over());
  owner_.before_fork(false);  // the tables here are no longer those of the owner
  EXPECT_FALSE(child_may_take_over());
}

TEST_F(owned, a_grandchild_may_as_well) {
  owner_.before_fork(false);
  EXPECT_TRUE(in_child([&] {
    owner_.start_as_child();
    owner_.before_fork(false);
    return child_may_take_over();
  }));
}

TEST_F(owned, an_end_that_was_cleared_away_is_nobodys_to_take_over) {
  owner_.before_fork(false);
  subject_.end(0).holder = 0;
  EXPECT_FALSE(child_may_take_over());
  EXPECT_TRUE(owner_.owner_is_gone());
}

}  // namespace
}  // namespace fastudp::test
