// Many threads on one stack: each datagram once, nobody sleeps through it, frames come home from anywhere.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/time.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "endpoint/endpoint.h"
#include "unit/endpoint/endpoint_support.h"

namespace fastudp {
namespace {

using test::at;
using test::hub_name;
using test::octets;
using test::open_endpoint;
using test::open_engine;
using test::sleeper;

constexpr endpoint_address here{ipv4_address{{10, 0, 0, 1}}, 53};

class threads : public testing::Test {
 protected:
  threads() {
    for (const auto& [a, b, mac] : {std::tuple{&engine_, "10.0.0.2", 2u}, {&peer_, "10.0.0.1", 1u}}) {
      const engine::turn t(**a);
      EXPECT_TRUE((*a)->stack().add_neighbour(test::ip(b), test::mac_of(mac)));
    }
  }
  static std::unique_ptr<engine> open(const std::string& hub, unsigned number) {
    const std::string n = std::to_string(number);
    return open_engine(hub + "?announce=off&mac=02:00:00:00:00:0" + n + "&address=10.0.0." + n + "/24");
  }
  void say(std::string_view text, std::uint16_t port = 53) {
    EXPECT_TRUE(test::send(*client_, text, at("10.0.0.1", port)));
  }

  const std::string hub_ = hub_name();
  const std::unique_ptr<engine> engine_ = open(hub_, 1), peer_ = open(hub_, 2);
  open_endpoint client_{*peer_, at("10.0.0.2", 77)};
};

// The sender stays within the receive buffer: a wake-up that is lost stops everything for good.
TEST_F(threads, sixteen_on_one_socket_get_each_datagram_once) {
  constexpr std::uint32_t total = 100'000, readers = 16, stop = total;
  open_endpoint s(*engine_, here);
  std::vector<std::atomic<std::uint8_t>> seen(total);
  std::atomic<std::uint32_t> received{0};
  const auto read = [&] {
    for (;;) {
      std::uint32_t number = 0;
      message m;
      m.data = std::as_writable_bytes(std::span(&number, 1));
      if (*s->receive({&m, 1}, 0) != 1 || number == stop) return;
      ++seen[number];
      ++received;
      received.notify_one();
    }
  };
  std::vector<std::thread> all;
  for (std::uint32_t i = 0; i < readers; ++i) all.emplace_back(read);
  const auto send = [&](std::uint32_t number) {
    message m;
    m.data = std::as_writable_bytes(std::span(&number, 1));
    m.peer = here;
    m.has_peer = true;
    ASSERT_TRUE(client_->send({&m, 1}, 0));
  };
  for (std::uint32_t number = 0; number < total; ++number) {
    const std::uint32_t window = number % 10'000 < 1000 ? 1 : 1 + number / 1000;
    for (std::uint32_t done; number - (done = received) >= window;) received.wait(done);
    send(number);
  }
  for (std::uint32_t done; (done = received) < total;) received.wait(done);
  // Whoever reads one leaves; were the next not woken, it would be the end.
  for (std::uint32_t i = 0; i < readers; ++i) send(stop);
  for (std::thread& each : all) each.join();
  EXPECT_EQ(std::ranges::count_if(seen, [](const auto& times) { return times != 1; }), 0);
  EXPECT_EQ(engine_->count().drops[static_cast<std::size_t>(drop::queue_full)].get(), 0u);
}

TEST_F(threads, each_is_woken_for_its_own_socket) {
  constexpr std::uint16_t sockets = 8, rounds = 500;
  std::vector<std::unique_ptr<open_endpoint>> all;
  std::vector<std::unique_ptr<std::atomic<int>>> counts;
  std::vector<std::thread> readers;
  for (std::uint16_t i = 0; i < sockets; ++i) {
    all.push_back(std::make_unique<open_endpoint>(*engine_, at("10.0.0.1", static_cast<std::uint16_t>(100 + i))));
    counts.push_back(std::make_unique<std::atomic<int>>(0));
    readers.emplace_back([&s = **all.back(), &count = *counts.back(), name = std::to_string(i)] {
      for (int round = 0; round < rounds; ++round) {
        EXPECT_EQ(test::receive(s), name);
        ++count;
        count.notify_one();
      }
    });
  }
  for (int round = 0; round < rounds; ++round) {
    const auto i = static_cast<std::uint16_t>(round * 5 % sockets);
    for (std::uint16_t k = 0; k < sockets; ++k) {
      const auto which = static_cast<std::uint16_t>((i + k) % sockets);
      say(std::to_string(which), static_cast<std::uint16_t>(100 + which));
      counts[which]->wait(round);
    }
  }
  for (std::thread& each : readers) each.join();
}

TEST_F(threads, who_only_looks_leaves_it_to_who_reads) {
  open_endpoint s(*engine_, here), other(*engine_, at("10.0.0.1", 54));
  sleeper leader([&] { EXPECT_EQ(test::receive(*other), "the end"); });
  leader.await_sleep();
  {
    sleeper reader([&] { EXPECT_EQ(test::receive(*s), "hello"); });
    reader.await_sleep();
    sleeper looker([&] { EXPECT_EQ(*s->wait(ready::readable, never) & ~ready::readable, 0); });
    looker.await_sleep();
    say("hello");
    // Should the reader have been quicker, the one who looks still waits.
    while (!reader.is_done()) std::this_thread::yield();
    if (!looker.is_done()) say("again");
  }
  say("the end", 54);
}

TEST_F(threads, who_waits_for_something_else_does_not_keep_it_from_who_reads) {
  open_endpoint s(*engine_, here), other(*engine_, at("10.0.0.1", 54));
  ASSERT_TRUE(s->connect(at("10.0.0.2", 77)));
  sleeper leader([&] { EXPECT_EQ(test::receive(*other), "the end"); });
  leader.await_sleep();
  sleeper looker([&] { EXPECT_EQ(*s->wait(ready::error, never), ready::hang_up); });
  {
    sleeper reader([&] { EXPECT_EQ(test::receive(*s), "hello"); });
    reader.await_sleep();
    looker.await_sleep();
    say("hello");
  }
  ASSERT_TRUE(s->shut_down(true, true));
  say("the end", 54);
}

TEST_F(threads, shutting_down_wakes_all_who_read) {
  open_endpoint s(*engine_, here);
  ASSERT_TRUE(s->connect({test::ip("10.0.0.2"), 9}));
  std::vector<std::unique_ptr<sleeper>> all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(std::make_unique<sleeper>([&] { EXPECT_EQ(test::receive(*s), "nothing"); }));
    all.back()->await_sleep();
  }
  ASSERT_TRUE(s->shut_down(true, false));
}

TEST_F(threads, a_leader_that_gives_up_leaves_a_leader_behind) {
  const test::signal_handler handled(0);
  open_endpoint s(*engine_, here), other(*engine_, at("10.0.0.1", 54));
  auto leader = std::make_unique<sleeper>([&] { EXPECT_EQ(test::receive(*other), std::strerror(EINTR)); });
  leader->await_sleep();
  sleeper follower([&] { EXPECT_EQ(test::receive(*s), "hello"); });
  follower.await_sleep();
  while (!leader->is_done()) leader->interrupt(), std::this_thread::yield();
  leader.reset();
  say("hello");
}

TEST_F(threads, a_signal_interrupts_a_receive_and_a_wait) {
  for (const int flags : {0, SA_RESTART}) {
    const test::signal_handler handled(flags);
    open_endpoint s(*engine_, here);
    sleeper reader([&] { EXPECT_EQ(test::receive(*s), std::strerror(EINTR)); });
    sleeper looker([&] { EXPECT_EQ(s->wait(ready::readable, never).code(), EINTR); });
    for (sleeper* each : {&reader, &looker}) {
      while (!each->is_done()) each->interrupt(), std::this_thread::yield();
    }
  }
}

TEST_F(threads, a_timeout_comes_and_not_early) {
  const auto from_now = [&](duration span) {
    const engine::turn t(*engine_);
    return engine_->limit_after(span);
  };
  open_endpoint s(*engine_, here);
  const timeval timeout{0, 30'000};
  ASSERT_TRUE(s->set_option(SOL_SOCKET, SO_RCVTIMEO, std::as_bytes(std::span(&timeout, 1))));
  const auto wait_until_refused = [&] {
    const time_point limit = from_now(30 * millisecond);
    EXPECT_EQ(test::receive(*s), std::strerror(EAGAIN));
    EXPECT_LE(limit, from_now(0));
  };
  wait_until_refused();
  sleeper leader([&] { wait_until_refused(); });
  sleeper follower([&] { wait_until_refused(); });
  sleeper looker([&] {
    const time_point limit = from_now(30 * millisecond);
    EXPECT_EQ(*s->wait(ready::readable, 30 * millisecond), 0);
    EXPECT_LE(limit, from_now(0));
  });
}

TEST_F(threads, retransmissions_go_on_while_everybody_sleeps) {
  open_endpoint s(*engine_, here);
  ASSERT_TRUE(s->set_option(IPPROTO_IP, IP_RECVERR, std::as_bytes(std::span("\1\0\0", 4))));
  ASSERT_TRUE(test::send(*s, "x", at("10.0.0.77", 9)));
  EXPECT_EQ(test::receive(*s), std::strerror(EHOSTUNREACH)) << "after three questions, a second apart";
}

TEST_F(threads, many_send_on_one_socket_and_every_datagram_is_whole) {
  constexpr int senders = 4, each = 2000;
  open_endpoint s(*engine_, here), shared(*peer_);
  std::atomic<int> received{0};
  std::vector<std::thread> all;
  for (int i = 0; i < senders; ++i) {
    all.emplace_back([&, i] {
      const std::string payload(static_cast<std::size_t>(100 + 300 * i), static_cast<char>('a' + i));
      for (int n = 0; n < each; ++n) {
        for (int done; senders * n - (done = received) > 60;) received.wait(done);
        EXPECT_TRUE(test::send(*shared, payload, here));
      }
    });
  }
  std::vector<int> counts(senders, 0);
  for (int n = 0; n < senders * each; ++n) {
    const std::string text = test::receive(*s);
    const auto i = static_cast<std::size_t>(text[0] - 'a');
    ASSERT_LT(i, counts.size());
    EXPECT_EQ(text, std::string(100 + 300 * i, text[0]));
    ++counts[i];
    ++received;
    received.notify_all();
  }
  for (std::thread& t : all) t.join();
  EXPECT_THAT(counts, testing::Each(each));
}

// A queue between threads, as a program would have it.
class frames_to_return {
 public:
  void push(packet* p) {
    const std::lock_guard hold(mutex_);
    queue_.push_back(p);
    more_.notify_one();
  }
  // Null is the end.
  packet* pop() {
    std::unique_lock hold(mutex_);
    more_.wait(hold, [&] { return !queue_.empty(); });
    packet* p = queue_.front();
    queue_.pop_front();
    return p;
  }

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<packet*> queue_;
};

TEST_F(threads, borrowed_frames_come_home_from_any_thread) {
  constexpr int total = 20'000, helpers = 4;
  open_endpoint s(*engine_, here);
  frames_to_return borrowed;
  std::atomic<int> returned{0};
  std::vector<std::thread> all;
  for (int i = 0; i < helpers; ++i) {
    all.emplace_back([&] {
      while (packet* p = borrowed.pop()) {
        p->data()[0] = std::byte{'x'};
        endpoint::give_back(p);
        ++returned;
        returned.notify_all();
      }
    });
  }
  std::thread sender([&] {
    for (int n = 0; n < total; ++n) {
      for (int done; n - (done = returned) > 100;) returned.wait(done);
      say("borrow me");
    }
  });
  for (int n = 0; n < total;) {
    std::vector<message> burst(16);
    const auto got = s->borrow(burst, 0);
    ASSERT_TRUE(got);
    for (std::size_t i = 0; i < *got; ++i) borrowed.push(burst[i].frame);
    n += static_cast<int>(*got);
  }
  sender.join();
  for (int i = 0; i < helpers; ++i) borrowed.push(nullptr);
  for (std::thread& t : all) t.join();
  EXPECT_FALSE(s->has_frames_out());
  const engine::turn t(*engine_);
  pool& frames = engine_->stack().frames();
  frames.reclaim();
  EXPECT_EQ(frames.available() + 4096, frames.count()) << "all but those that the link receives into";
}

}  // namespace
}  // namespace fastudp
