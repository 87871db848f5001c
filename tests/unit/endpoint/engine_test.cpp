// A stack in the life of a program: its time, its counters, its descriptor, its helper thread.

#include "endpoint/engine.h"

#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>

#include <cerrno>
#include <fstream>
#include <set>
#include <string>

#include "unit/endpoint/endpoint_support.h"

namespace fastudp {
namespace {

using test::at;
using test::hub_name;
using test::open_endpoint;
using test::open_engine;

std::set<int> threads() {
  [[maybe_unused]] static const bool is_started =
      (std::thread([] {}).join(), true);  // a sanitizer's own thread comes with the first
  std::set<int> out;
  DIR* tasks = ::opendir("/proc/self/task");
  while (const dirent* entry = ::readdir(tasks)) {
    if (entry->d_name[0] != '.') out.insert(std::atoi(entry->d_name));
  }
  ::closedir(tasks);
  return out;
}

// As a bit set, signal 1 first.
std::uint64_t blocked_signals(int thread) {
  std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("SigBlk:")) return std::stoull(line.substr(line.find_last_of(" \t") + 1), nullptr, 16);
  }
  return 0;
}

struct pair_of_hosts {
  explicit pair_of_hosts(const engine_settings& with = {.seed = 1})
      : hub(hub_name()),
        a(open_engine(hub + "?announce=off&address=10.0.0.1/24", with)),
        b(open_engine(hub + "?announce=off&address=10.0.0.2/24", with)) {}

  std::string hub;
  std::unique_ptr<engine> a, b;
};

// ---- Time

TEST(clock, a_hand_held_one_goes_forward_only) {
  fastudp::clock c(true);
  EXPECT_TRUE(c.is_hand_held());
  EXPECT_EQ(c.coarse(), 0);
  EXPECT_TRUE(c.set(100));
  EXPECT_TRUE(c.set(100));
  EXPECT_FALSE(c.set(99));
  EXPECT_EQ(c.coarse(), 100);
  EXPECT_EQ(c.precise(), 100);
}

TEST(clock, the_kernels_never_goes_back_between_coarse_and_precise) {
  fastudp::clock c(false);
  time_point last = 0;
  for (int i = 0; i < 10'000; ++i) {
    const time_point now = i % 2 == 0 ? c.precise() : c.coarse();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(engine, a_limit_that_never_comes_does_not_overflow) {
  const auto h = open_engine(hub_name());
  EXPECT_EQ(h->limit_after(-1), never);
  EXPECT_EQ(h->limit_after(never), never);
  EXPECT_EQ(h->limit_after(never - 1), never);
  const time_point soon = h->limit_after(second);
  EXPECT_LT(soon, never);
  EXPECT_GE(h->limit_after(second), soon);
}

TEST(engine, with_a_hand_held_clock_nothing_blocks) {
  const auto h = open_engine(hub_name() + "?address=10.0.0.1/24", {.seed = 1, .hand_clock = true});
  open_endpoint s(*h, at("0.0.0.0", 53));
  EXPECT_EQ(test::receive(*s), std::strerror(EAGAIN));
  EXPECT_EQ(s->wait(ready::readable, never).code(), 0);
  EXPECT_EQ(*s->wait(ready::readable, never), 0);
  const std::size_t before = threads().size();
  ASSERT_TRUE(s->descriptor());
  EXPECT_EQ(threads().size(), before) << "nor does anything go on by itself";
}

// ---- Calls

TEST(engine, the_lock_is_taken_once_per_call) {
  const auto h = open_engine(hub_name() + "?address=10.0.0.1/24", {.seed = 1, .hand_clock = true});
  open_endpoint s(*h, at("0.0.0.0", 53));
  const auto turns = [&] {
    const engine::turn t(*h);
    return h->acquisitions();
  };
  std::vector<message> burst(64);
  std::vector<std::string> payloads(64, "payload");
  for (std::size_t i = 0; i < burst.size(); ++i) {
    burst[i].data = test::octets(payloads[i]);
    burst[i].peer = at("127.0.0.1", 53);
    burst[i].has_peer = true;
  }
  const auto before = turns();
  ASSERT_EQ(*s->send(burst, 0), 64u);
  EXPECT_EQ(turns(), before + 2);
  ASSERT_EQ(*s->receive(burst, 0), 64u);
  EXPECT_EQ(turns(), before + 4);
}

TEST(engine, a_program_that_only_sends_is_looked_after) {
  pair_of_hosts hosts({.seed = 1, .hand_clock = true});
  open_endpoint sender(*hosts.a), receiver(*hosts.b, at("10.0.0.2", 53));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(test::send(*sender, "x", at("10.0.0.2", 53)));
    const engine::turn t(*hosts.b);
    hosts.b->stack().poll(t.now(), 64);
  }
  int received = 0;
  while (test::receive_now(*receiver) == "x") ++received;
  EXPECT_EQ(received, 3) << "the second send took the answer in";
}

TEST(engine, the_stacks_descriptor_says_when_polling_finds_work) {
  pair_of_hosts hosts;
  open_endpoint sender(*hosts.a), receiver(*hosts.b, at("10.0.0.2", 53));
  const auto work = [&](engine& h) {
    engine::turn t(h);
    t.look_at_clock();
    while (h.work(t) != 0) continue;
  };
  int fd = -1;
  {
    const engine::turn t(*hosts.b);
    fd = hosts.b->announce_work();
  }
  work(*hosts.b);
  EXPECT_FALSE(test::is_readable(fd));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(test::send(*sender, "x", at("10.0.0.2", 53)));
    EXPECT_TRUE(test::is_readable(fd, 10'000));
    work(*hosts.b);
    work(*hosts.a);
    work(*hosts.b);
    EXPECT_FALSE(test::is_readable(fd));
    EXPECT_EQ(test::receive_now(*receiver), "x");
  }
}

TEST(engine, it_knows_its_own_packets) {
  pair_of_hosts hosts({.seed = 1, .hand_clock = true});
  packet* of_the_link = hosts.a->stack().frames().take();
  packet* of_the_store = hosts.a->stack().store().take(10'000);
  EXPECT_TRUE(hosts.a->owns(*of_the_link));
  EXPECT_TRUE(hosts.a->owns(*of_the_store));
  EXPECT_FALSE(hosts.b->owns(*of_the_link));
  EXPECT_FALSE(hosts.b->owns(*of_the_store));
  release(of_the_link);
  release(of_the_store);
}

// ---- The helper thread

TEST(helper, works_while_no_call_does_and_takes_no_signal) {
  pair_of_hosts hosts;
  open_endpoint s(*hosts.b, at("10.0.0.2", 53)), sender(*hosts.a);
  const auto before = threads();
  const auto fd = s->descriptor();
  ASSERT_TRUE(fd);
  ASSERT_TRUE(s->descriptor());
  std::set<int> after = threads();
  for (const int id : before) after.erase(id);
  ASSERT_EQ(after.size(), 1u) << "one, however often it is asked for";
  constexpr std::uint64_t cannot_be = 1u << (SIGKILL - 1) | 1u << (SIGSTOP - 1), all = 0x7fffffff;
  EXPECT_EQ(blocked_signals(*after.begin()) & all, all & ~cannot_be);
  ASSERT_TRUE(test::send(*sender, "x", at("10.0.0.2", 53)));
  // The peer's answer to our question needs no call on its side; ours is in the next send.
  while (!test::is_readable(*fd, 1)) (void)test::send(*sender, "y", at("10.0.0.2", 53));
  EXPECT_EQ(test::receive_now(*s), "x");
}

TEST(helper, ends_with_the_host) {
  const auto before = threads();
  {
    pair_of_hosts hosts;
    open_endpoint a(*hosts.a), b(*hosts.b);
    ASSERT_TRUE(a->descriptor());
    ASSERT_TRUE(b->descriptor());
    EXPECT_EQ(threads().size(), before.size() + 2);
  }
  while (threads() != before) std::this_thread::yield();  // one that was joined may still be seen for a moment
}

TEST(helper, ends_even_if_it_has_never_slept) {
  for (int i = 0; i < 200; ++i) {
    const auto h = open_engine(hub_name() + "?announce=off&address=10.0.0.1/24");
    open_endpoint s(*h);
    ASSERT_TRUE(s->descriptor());
  }
}

}  // namespace
}  // namespace fastudp
