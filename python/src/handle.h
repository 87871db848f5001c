#pragma once
// Handles that Python objects share, and the rule that keeps them alive while a thread is inside a call.

#include <fastudp.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "error.h"

namespace fastudp::python {

// A handle of the library. All members are used with the GIL held; what may block runs inside `unlocked`, which the
// handle counts, so that closing it under a call in another thread is refused instead of undefined.
template <class Raw, int (*Close)(Raw*)>
class handle {
 public:
  handle() = default;
  handle(const handle&) = delete;
  handle& operator=(const handle&) = delete;
  ~handle() { Close(raw_); }

  Raw** out() { return &raw_; }
  bool is_open() const { return raw_ != nullptr; }

  Raw* get() const {
    if (raw_ == nullptr) raise(EBADF, "it is closed");
    return raw_;
  }

  void close() {
    if (calls_ > 0) raise(EBUSY, "another thread is inside a call on it");
    if (const int result = Close(raw_); result < 0) raise(-result, "frames that it lent are not released");
    raw_ = nullptr;
  }

  // Calls with the raw handle and without the GIL.
  template <class Call>
  auto unlocked(Call call) {
    Raw* const raw = get();
    const in_call counted(calls_);
    const py::gil_scoped_release released;
    return call(raw);
  }

 private:
  struct in_call {
    explicit in_call(int& count) : count_(count) { ++count_; }
    ~in_call() { --count_; }
    int& count_;
  };

  Raw* raw_ = nullptr;
  int calls_ = 0;
};

using link_handle = handle<fastudp_link, fastudp_link_close>;
using stack_handle = handle<fastudp_stack, fastudp_stack_close>;
using socket_handle = handle<fastudp_socket, fastudp_socket_close>;

using clock = std::chrono::steady_clock;

// A timeout of Python's, seconds or None for no limit, that shrinks while interrupted calls are repeated.
class timeout {
 public:
  explicit timeout(std::optional<double> seconds) {
    if (!seconds) return;
    const double bounded = *seconds < 0 ? 0 : *seconds < 1e9 ? *seconds : 1e9;
    end_ = clock::now() + std::chrono::nanoseconds(static_cast<std::int64_t>(bounded * 1e9 + 0.5));
  }

  // What is left, as the library takes it: nanoseconds, negative for no limit.
  std::int64_t left() const {
    if (!end_) return -1;
    const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(*end_ - clock::now()).count();
    return rest > 0 ? rest : 0;
  }

 private:
  std::optional<clock::time_point> end_;
};

}  // namespace fastudp::python
