// xdp: shared by processes: one has the AF_XDP sockets, another a packet socket, and both the same claims.

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <thread>
#include <utility>

#include "base/memory.h"
#include "unit/link/xdp_cable.h"

namespace fastudp::test {
namespace {

// What a process of a family says while it works with end 1.
struct other_process {
  std::atomic<bool> is_ready;
  std::atomic<int> received;
};

class shared_xdp_link : public xdp_link {
 protected:
  void SetUp() override {
    xdp_link::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    ASSERT_NO_FATAL_FAILURE(open());
    auto made = shared_array<other_process>::map(1);
    ASSERT_TRUE(made);
    other_ = std::move(*made);
  }
  void TearDown() override {
    end_other();
    xdp_link::TearDown();
  }
  // It opens the end, does that, and waits for its end.
  template <typename Work>
  void start_other(const Work& work) {
    child_ = ::fork();
    if (child_ != 0) return;
    reason why;
    auto end = subject()->open_end(1, subject().count(), why);
    if (!end) ::_exit(1);
    host own;  // beside the old link, which it leaves as it is
    own.adopt(std::move(*end));
    work(own);
    for (;;) ::pause();
  }
  void await_other() {
    while (!other().is_ready) ASSERT_EQ(::waitpid(child_, nullptr, WNOHANG), 0);
  }
  void end_other() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(std::exchange(child_, 0), nullptr, 0);
  }
  other_process& other() { return other_[0]; }
  frame datagram_from(int port) {
    return datagram(10, [port](auto&, auto&, auto& udp) { udp[1] = static_cast<char>(port); });
  }

  shared_array<other_process> other_;
  pid_t child_ = 0;
};

INSTANTIATE_TEST_SUITE_P(modes, shared_xdp_link, testing::Values("copy", "generic"),
                         [](const auto& tested) { return tested.param; });

TEST_P(shared_xdp_link, each_conversation_is_one_ends_and_the_kernel_has_none) {
  constexpr int all = 100;
  reason why;
  EXPECT_EQ(subject()->open_end(1, subject().count(), why).code(), EOPNOTSUPP);
  ASSERT_TRUE(subject()->set_ends_aside(why)) << why.c_str();
  ASSERT_TRUE(claims().add(ours(), 0));
  start_other([&](host& own) {
    other().is_ready = bool(claims().add(ours(), 1));
    for (;;) other().received += static_cast<int>(receive_awaited(own, 1).size());
  });
  ASSERT_NO_FATAL_FAILURE(await_other());
  for (int port = 0; port < all; ++port) put_on_wire(datagram_from(port));
  int came = 0;
  for (int looks = 0; came + other().received < all && looks < patience_ms; ++looks) {
    if (subject()->arm()) readable(subject()->wait_fd(), 1);
    came += static_cast<int>(subject().receive().size());
  }
  EXPECT_EQ(came + other().received, all);
  EXPECT_GT(came, all / 4);
  EXPECT_GT(other().received, all / 4);
  char room[100];
  EXPECT_LT(::recv(kernel_.number(), room, sizeof room, MSG_DONTWAIT), 0);
  end_other();
  claims().remove_member(1);
  for (int port = 0; port < 20; ++port) EXPECT_EQ(who_gets(datagram_from(port)), "link");
}

// What the program at XDP has passed for another's is the kernel's, if by then it is nobody's.
TEST_P(shared_xdp_link, whose_a_flow_is_may_change_under_traffic_and_nothing_is_lost_or_comes_twice) {
  reason why;
  ASSERT_TRUE(subject()->set_ends_aside(why)) << why.c_str();
  start_other([&](host& own) {
    other().is_ready = true;
    for (;;) other().received += static_cast<int>(receive_awaited(own, 1).size());
  });
  ASSERT_NO_FATAL_FAILURE(await_other());
  std::atomic<bool> done{false};
  std::thread changing([&] {
    for (unsigned i = 0; !done; ++i) {
      (void)claims().add(ours(), i % 2);
      (void)claims().add(ours(), 1 - i % 2);
      claims().remove(ours(), i % 2);
      if (i % 3 == 0) claims().remove_member(1 - i % 2);
    }
  });
  constexpr int all = 20'000;
  int came = 0, to_kernel = 0;
  char room[100];
  const auto look = [&] {
    came += static_cast<int>(subject().receive().size());
    while (::recv(kernel_.number(), room, sizeof room, MSG_DONTWAIT) > 0) ++to_kernel;
  };
  for (int i = 0; i < all; ++i) {
    put_on_wire(datagram_from(i));
    if (i % 16 == 0) look();
  }
  for (int looks = 0; came + to_kernel + other().received < all && looks < patience_ms; ++looks) {
    if (subject()->arm()) readable(subject()->wait_fd(), 1);
    look();
  }
  done = true;
  changing.join();
  EXPECT_EQ(came + to_kernel + other().received, all);
  EXPECT_GT(came, 0);
  EXPECT_GT(other().received, 0);
}

// Its queues would be taken for as long as the child has them, or a ring of theirs.
TEST_P(shared_xdp_link, who_opens_an_end_has_nothing_of_the_sockets_any_more) {
  reason why;
  ASSERT_TRUE(subject()->set_ends_aside(why)) << why.c_str();
  start_other([&](host&) {
    claims_.reset();
    other().is_ready = true;
  });
  ASSERT_NO_FATAL_FAILURE(await_other());
  subject_.reset();
  ASSERT_NO_FATAL_FAILURE(open());
  ASSERT_TRUE(claims().add(ours(), 0));
  EXPECT_EQ(who_gets(datagram()), "link");
}

TEST_P(shared_xdp_link, an_address_of_our_own_is_one_processs) {
  reason why;
  subject_.reset();
  ASSERT_NO_FATAL_FAILURE(open_own());
  EXPECT_EQ(subject()->set_ends_aside(why).code(), EOPNOTSUPP);
}

}  // namespace
}  // namespace fastudp::test
