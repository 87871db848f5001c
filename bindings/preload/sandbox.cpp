#include "sandbox.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <span>

#include "call.h"
#include "descriptors.h"
#include "epoll_set.h"
#include "real.h"

using namespace preload;

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t architecture = AUDIT_ARCH_AARCH64;
#define SYS_epoll_wait SYS_epoll_pwait
#define SYS_poll SYS_ppoll
#endif
#ifndef SYS_rseq  // younger than the oldest headers that we build with
#define SYS_rseq 334
#define SYS_pidfd_open 434
#define SYS_clone3 435
#define SYS_faccessat2 439
#endif

enum class when : std::uint8_t { always, opening };
struct needed_call {
  int number;
  when phase;
  std::array<std::uint64_t, 6> arguments;
};
constexpr needed_call needed[] = {
#define SANDBOX_CALL(name, phase, ...) {SYS_##name, when::phase, {__VA_ARGS__}},
#include "sandbox_calls.def"
#undef SANDBOX_CALL
};

// Runs a program of classic BPF on a call, as the kernel will. What the kernel wouldn't accept has no answer: 0, which
// stands for "kill" as well.
class filter_run {
 public:
  filter_run(std::span<const sock_filter> program, const seccomp_data& about) : program_(program), about_(about) {}

  std::uint32_t answer() {
    while (at_ < program_.size()) {
      const sock_filter& each = program_[at_++];
      if (BPF_CLASS(each.code) == BPF_RET) return BPF_RVAL(each.code) == BPF_A ? a_ : each.k;
      if (!step(each)) return 0;
    }
    return 0;
  }

 private:
  bool step(const sock_filter& i) {
    switch (BPF_CLASS(i.code)) {
      case BPF_LD:
        return load(i, a_);
      case BPF_LDX:
        return load(i, x_);
      case BPF_ST:
        return store(i, a_);
      case BPF_STX:
        return store(i, x_);
      case BPF_ALU:
        return compute(i);
      case BPF_JMP:
        jump(i);
        return true;
      default:  // BPF_MISC
        (BPF_MISCOP(i.code) == BPF_TAX ? x_ : a_) = BPF_MISCOP(i.code) == BPF_TAX ? a_ : x_;
        return true;
    }
  }

  bool load(const sock_filter& i, std::uint32_t& to) {
    const int mode = BPF_MODE(i.code);
    if (mode == BPF_IMM) to = i.k;
    if (mode == BPF_LEN) to = sizeof about_;
    if (mode == BPF_MEM && i.k < memory_.size()) to = memory_[i.k];
    if (mode != BPF_ABS) return mode != BPF_MEM || i.k < memory_.size();
    if (i.k > sizeof about_ - sizeof to) return false;
    std::copy_n(reinterpret_cast<const unsigned char*>(&about_) + i.k, sizeof to,
                reinterpret_cast<unsigned char*>(&to));
    return true;
  }

  bool store(const sock_filter& i, std::uint32_t what) {
    if (i.k >= memory_.size()) return false;
    memory_[i.k] = what;
    return true;
  }

  bool compute(const sock_filter& i) {
    const std::uint32_t by = BPF_SRC(i.code) == BPF_X ? x_ : i.k;
    switch (BPF_OP(i.code)) {
      case BPF_ADD:
        a_ += by;
        return true;
      case BPF_SUB:
        a_ -= by;
        return true;
      case BPF_MUL:
        a_ *= by;
        return true;
      case BPF_DIV:
        a_ = by != 0 ? a_ / by : 0;
        return by != 0;
      case BPF_AND:
        a_ &= by;
        return true;
      case BPF_OR:
        a_ |= by;
        return true;
      case BPF_XOR:
        a_ ^= by;
        return true;
      case BPF_LSH:
        a_ = by < 32 ? a_ << by : 0;
        return true;
      case BPF_RSH:
        a_ = by < 32 ? a_ >> by : 0;
        return true;
      case BPF_NEG:
        a_ = -a_;
        return true;
      default:
        return false;
    }
  }

  void jump(const sock_filter& i) {
    const std::uint32_t with = BPF_SRC(i.code) == BPF_X ? x_ : i.k;
    const int operation = BPF_OP(i.code);
    if (operation == BPF_JA) {
      at_ += i.k;
      return;
    }
    const bool holds = operation == BPF_JEQ   ? a_ == with
                       : operation == BPF_JGT ? a_ > with
                       : operation == BPF_JGE ? a_ >= with
                                              : (a_ & with) != 0;
    at_ += holds ? i.jt : i.jf;
  }

  std::span<const sock_filter> program_;
  const seccomp_data& about_;
  std::size_t at_ = 0;
  std::uint32_t a_ = 0, x_ = 0;
  std::array<std::uint32_t, BPF_MEMWORDS> memory_{};
};

bool allows(const sock_fprog& filter, const needed_call& what) {
  seccomp_data about{};
  about.nr = what.number;
  about.arch = architecture;
  std::copy(what.arguments.begin(), what.arguments.end(), about.args);
  const std::uint32_t answer = filter_run({filter.filter, filter.len}, about).answer() & SECCOMP_RET_ACTION_FULL;
  return answer == SECCOMP_RET_ALLOW || answer == SECCOMP_RET_LOG;
}

bool allows_all(const sock_fprog& filter) {
  const bool is_open = library::stack() != nullptr;
  return std::all_of(std::begin(needed), std::end(needed), [&](const needed_call& each) {
    return (is_open && each.phase == when::opening) || allows(filter, each);
  });
}

bool leave_all_to_kernel() {
  bool done = true;
  table.for_each_from(0, [&](int fd, entry what) {
    if (what.socket() == nullptr || !done) return;
    const call c(fd);
    done = !c || c.hand_over(cause::sandbox);
  });
  return done;
}

// From now on libc's calls alone are made on them, as if they had never been ours.
void forget_all() {
  library::adopt_no_more();
  library::will_be_confined();
  epoll_set::restore_all();
  table.for_each_from(0, [](int fd, entry what) {
    if (what.socket() != nullptr) forget(fd);
  });
}

}  // namespace

// Before the program's own instructions, which expect nothing in the accumulator, those that let pass what the fast
// path calls once it has been opened.
bool filter_to_be::extend() {
  const auto passes = [](const needed_call& each) { return each.phase == when::always; };
  const auto count = static_cast<std::size_t>(std::count_if(std::begin(needed), std::end(needed), passes));
  constexpr std::size_t around = 5;
  const std::size_t total = around + 2 * count + programs_->len;
  if (total > BPF_MAXINSNS) return false;
  code_ = static_cast<sock_filter*>(std::malloc(total * sizeof(sock_filter)));
  if (code_ == nullptr) return false;
  sock_filter* to = code_;
  const auto skipped = static_cast<std::uint32_t>(1 + 2 * count);
  *to++ = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  *to++ = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0);
  *to++ = BPF_STMT(BPF_JMP | BPF_JA, skipped);
  *to++ = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  for (const needed_call& each : needed) {
    if (!passes(each)) continue;
    *to++ = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(each.number), 0, 1);
    *to++ = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }
  *to++ = BPF_STMT(BPF_LD | BPF_IMM, 0);
  std::copy_n(programs_->filter, programs_->len, to);
  extended_ = {static_cast<unsigned short>(total), code_};
  return true;
}

bool filter_to_be::stays_fast() {
  if (programs_ == nullptr) return false;
  const bool may_extend = library::may_extend_sandboxes();
  if (may_extend) library::open_while_allowed();
  return allows_all(*programs_) || (may_extend && library::stack() != nullptr && extend());
}

bool filter_to_be::prepare() {
  if (!library::is_at_home()) return true;
  if (stays_fast()) {
    library::will_be_confined();
    return true;
  }
  if (!leave_all_to_kernel()) return false;
  forget_all();
  return true;
}

int hook::prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  const auto* program = a == SECCOMP_MODE_FILTER ? reinterpret_cast<const sock_fprog*>(b) : nullptr;
  const bool is_complete = a == SECCOMP_MODE_STRICT || program != nullptr;
  if (option != PR_SET_SECCOMP || !is_complete) return real.prctl(option, a, b, c, d);
  filter_to_be filter(program);
  if (!filter.prepare()) return -1;
  return real.prctl(option, a, program != nullptr ? reinterpret_cast<unsigned long>(filter.program()) : b, c, d);
}
