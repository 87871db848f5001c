#pragma once
// An endpoint's half in the kernel: its companion socket, and what is known, without asking, of what lies in it.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/counters.h"
#include "base/result.h"
#include "base/time.h"
#include "endpoint/message.h"
#include "host/companion.h"
#include "host/ports.h"

namespace fastudp {

class engine;

class kernel_half {
 public:
  // The engine and the companion outlive it; so does the count of datagrams that the companion got, which may be null.
  kernel_half(engine& home, companion&& socket)
      : engine_(home), socket_(std::move(socket)), cookie_(cookie_of(socket_.number())) {}
  std::uint64_t cookie() const { return cookie_; }
  void count_by(const std::atomic<std::uint64_t>* arrivals) { arrivals_ = arrivals; }
  const std::atomic<std::uint64_t>* arrivals() const { return arrivals_; }

  companion& socket() { return socket_; }
  const companion& socket() const { return socket_; }

  // From somebody who knows: there may be a datagram or an error.
  void look() { look_ = true; }
  // The kernel was given something of ours: it may answer with an error, which nothing counts.
  void expect_answer(time_point now) { closely_until_ = now + second; }
  bool expects_answer(time_point now) const { return now < closely_until_; }
  bool expects_error(time_point now) const { return now < error_until_; }
  // An ICMP error was seen on its way to the kernel.
  void expect_error(time_point now) {
    look_ = true;
    error_until_ = now + 20 * millisecond;
  }

  // Whether the companion has something that a datagram on the fast path would overtake. Asks the kernel only when
  // something was sent through it since it had none.
  bool is_ahead(bool is_shut);
  bool may_be_ahead() const;

  // Whether receiving from the kernel may find something. Costs no system call while BPF counts.
  bool may_have_something(time_point now);
  // What poll says of it now.
  int ask() const;
  // The same, but asks the kernel only when it may have something.
  int readiness(time_point now);

  // As many as are there now. EAGAIN: none; else the socket's own error.
  result<std::size_t> receive(std::span<message> messages, int flags);
  // One attempt for all; may block as the companion does, so not within a turn.
  result<std::size_t> receive_blocking(std::span<message> messages, int flags) {
    return receive_in_kernel(messages, flags);
  }
  result<std::size_t> send(std::span<const message> messages, int flags);
  // A pending error of the companion, which is cleared; 0: none.
  int take_error();
  // The same, but asks only while an error is expected.
  int take_expected_error(time_point now);

 private:
  result<std::size_t> receive_in_kernel(std::span<message> messages, int flags);

  engine& engine_;
  companion socket_;
  std::uint64_t cookie_;
  const std::atomic<std::uint64_t>* arrivals_ = nullptr;
  std::uint64_t seen_ = 0, sends_seen_ = 0, sends_looked_after_ = 0, sends_asked_after_ = 0;
  bool look_ = true;
  time_point closely_until_ = 0, error_until_ = 0;
};

}  // namespace fastudp
