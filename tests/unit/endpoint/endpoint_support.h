#pragma once
// What the tests of the endpoint share: hosts on a mem hub of their own, messages, threads that are known to sleep.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "endpoint/endpoint.h"
#include "endpoint/engine.h"
#include "support/packets.h"
#include "unit/stack/stack_support.h"

namespace fastudp::test {

inline endpoint_address at(std::string_view address, std::uint16_t port) { return {ip(address), port}; }

// A name that no other test uses.
inline std::string hub_name() {
  static std::atomic<int> number{0};
  return "mem:test-" + std::to_string(::getpid()) + "-" + std::to_string(++number);
}

inline std::unique_ptr<engine> open_engine(const std::string& uri, const engine_settings& with = {.seed = 1}) {
  reason why;
  auto opened = engine::open(uri, with, why);
  EXPECT_TRUE(opened) << why.c_str();
  return opened ? std::move(*opened) : nullptr;
}

// As a program does it: within a turn.
class open_endpoint {
 public:
  explicit open_endpoint(engine& h) : engine_(h) {
    const engine::turn t(h);
    made_ = std::make_unique<endpoint>(h);
  }
  open_endpoint(engine& h, const endpoint_address& where) : open_endpoint(h) { EXPECT_TRUE(made_->bind(where)); }
  ~open_endpoint() {
    const engine::turn t(engine_);
    made_.reset();
  }
  endpoint* operator->() { return made_.get(); }
  endpoint& operator*() { return *made_; }

 private:
  engine& engine_;
  std::unique_ptr<endpoint> made_;
};

inline result<std::size_t> send(endpoint& from, std::string_view payload, const endpoint_address* to = nullptr) {
  std::string copy(payload);
  message m;
  m.data = octets(copy);
  m.has_peer = to != nullptr;
  if (to != nullptr) m.peer = *to;
  return from.send({&m, 1}, 0);
}
inline result<std::size_t> send(endpoint& from, std::string_view payload, const endpoint_address& to) {
  return send(from, payload, &to);
}

// One datagram's payload, or the errno as a text.
inline std::string receive(endpoint& from, int flags = 0) {
  std::string room(70'000, '\0');
  message m;
  m.data = octets(room);
  const auto got = from.receive({&m, 1}, flags);
  if (!got) return std::strerror(got.code());
  return *got == 0 ? "nothing" : text_of(m.data);
}
inline std::string receive_now(endpoint& from) { return receive(from, message_flag::dont_wait); }

inline bool is_readable(int fd, int timeout_ms = 0) {
  pollfd watched{fd, POLLIN, 0};
  return ::poll(&watched, 1, timeout_ms) == 1;
}

inline pid_t thread_id() { return static_cast<pid_t>(::syscall(SYS_gettid)); }

// Whether a thread of this process sleeps in the kernel.
inline bool is_asleep(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(')');
  return name_end != std::string::npos && text.substr(name_end, 3) == ") S";
}

// A thread that tells its number; the test goes on when it sleeps.
class sleeper {
 public:
  template <typename Work>
  explicit sleeper(const Work& work)
      : thread_([this, work] {
          id_ = thread_id();
          work();
          done_ = true;
        }) {}
  ~sleeper() { thread_.join(); }

  void await_sleep() const {
    while (!done_ && (id_ == 0 || !is_asleep(id_))) std::this_thread::yield();
  }
  void interrupt() { ::pthread_kill(thread_.native_handle(), SIGUSR1); }
  bool is_done() const { return done_; }

 private:
  std::atomic<pid_t> id_{0};
  std::atomic<bool> done_{false};
  std::thread thread_;
};

// SIGUSR1 is handled, by nothing, while this lives.
class signal_handler {
 public:
  explicit signal_handler(int flags) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    action.sa_flags = flags;
    ::sigaction(SIGUSR1, &action, &before_);
  }
  ~signal_handler() { ::sigaction(SIGUSR1, &before_, nullptr); }

 private:
  struct sigaction before_;
};

}  // namespace fastudp::test
