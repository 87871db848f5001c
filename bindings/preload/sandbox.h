#pragma once
// Programs that forbid themselves system calls (seccomp), and would be killed for ours.

#include <linux/filter.h>

#include <cstdlib>

namespace preload {

// A filter that is about to take effect; null: the mode that allows hardly anything.
class filter_to_be {
 public:
  explicit filter_to_be(const sock_fprog* programs) : programs_(programs) {}
  filter_to_be(const filter_to_be&) = delete;
  filter_to_be& operator=(const filter_to_be&) = delete;
  ~filter_to_be() { std::free(code_); }

  // What the fast path calls that the filter forbids makes all sockets the kernel's, for good. False, with errno, when
  // the user doesn't allow that. Where he allows the filter to be extended (FASTUDP_EXTEND_SANDBOX), it lets the fast
  // path's calls pass before the program's own part is asked, and sockets stay fast.
  bool prepare();
  const sock_fprog* program() const { return code_ != nullptr ? &extended_ : programs_; }

 private:
  bool stays_fast();
  bool extend();

  const sock_fprog* programs_;
  sock_filter* code_ = nullptr;
  sock_fprog extended_{};
};

}  // namespace preload
