#include "sandbox.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "library.h"
#include "real.h"

namespace preload {
namespace {

#ifdef __x86_64__
constexpr std::uint32_t architecture = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t architecture = AUDIT_ARCH_AARCH64;
#endif

// What can't open anything: it works on descriptors, memory and threads that are there.
constexpr int harmless[] = {
#ifdef SYS_poll
    SYS_poll,
    SYS_epoll_wait,
#endif
    SYS_ppoll,
    SYS_epoll_pwait,
    SYS_epoll_ctl,
    SYS_epoll_create1,
    SYS_eventfd2,
    SYS_futex,
    SYS_sendto,
    SYS_sendmsg,
    SYS_sendmmsg,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_recvmmsg,
    SYS_read,
    SYS_write,
    SYS_close,
    SYS_getsockopt,
    SYS_getsockname,
    SYS_getpeername,
    SYS_getpid,
    SYS_munmap,
    SYS_madvise,
    SYS_clock_gettime,
    SYS_sched_yield,
    SYS_rt_sigprocmask,
    SYS_getrandom,
    SYS_sigaltstack,
    SYS_exit,
    SYS_rseq,
    SYS_set_robust_list,
    SYS_pidfd_open,
    SYS_restart_syscall,
    SYS_brk,
    SYS_mremap};

enum class test { equals, has, lacks };

// A word of 32 bits among the arguments.
constexpr int low(int argument) { return argument * 2; }
constexpr int high(int argument) { return argument * 2 + 1; }

// What can, for some arguments.
struct permission {
  int number, word;
  test how;
  std::uint32_t value;
  int second = -1;  // has to equal its value as well
  std::uint32_t second_value = 0;
};
constexpr permission permitted[] = {
    {SYS_bpf, low(0), test::equals, BPF_MAP_LOOKUP_ELEM},
    {SYS_bpf, low(0), test::equals, BPF_MAP_UPDATE_ELEM},
    {SYS_bpf, low(0), test::equals, BPF_MAP_DELETE_ELEM},
    {SYS_fcntl, low(1), test::equals, F_DUPFD_CLOEXEC},
    {SYS_fcntl, low(1), test::equals, F_GETFL},
    {SYS_fcntl, low(1), test::equals, F_GETFD},
    {SYS_mmap, low(2), test::lacks, PROT_EXEC},
    {SYS_mprotect, low(2), test::lacks, PROT_EXEC},
    {SYS_clone, low(0), test::has, CLONE_THREAD},
    {SYS_rt_sigaction, low(0), test::equals, 33},  // libc's own, with its first thread
    {SYS_kill, low(1), test::equals, 0},
    {SYS_prlimit64, low(2), test::equals, 0, high(2), 0},  // only looks
    {SYS_socket, low(0), test::equals, AF_NETLINK, low(2), NETLINK_SOCK_DIAG},
    {SYS_setsockopt, low(1), test::equals, SOL_SOCKET, low(2), SO_ATTACH_FILTER},
    {SYS_setsockopt, low(1), test::equals, SOL_SOCKET, low(2), SO_DETACH_FILTER},
    {SYS_setsockopt, low(1), test::equals, SOL_SOCKET, low(2), SO_ATTACH_BPF},
    {SYS_setsockopt, low(1), test::equals, IPPROTO_IP, low(2), IP_FREEBIND},
    {SYS_setsockopt, low(1), test::equals, IPPROTO_IPV6, low(2), IPV6_FREEBIND},
};

class writer {
 public:
  writer(sock_filter* code, std::size_t room) : code_(code), room_(room) {}

  void add(int code, std::uint32_t k, int if_true = 0, int if_false = 0) {
    if (size_ < room_)
      code_[size_] = {static_cast<std::uint16_t>(code), static_cast<std::uint8_t>(if_true),
                      static_cast<std::uint8_t>(if_false), k};
    ++size_;
  }
  void load(std::size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }
  void load_argument(int word) {
    constexpr int swapped = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    load(offsetof(seccomp_data, args) + static_cast<std::size_t>(word ^ swapped) * 4);
  }
  void answer(std::uint32_t what) { add(BPF_RET | BPF_K, what); }
  bool fits() const { return size_ <= room_; }
  std::size_t size() const { return size_; }
  sock_filter& at(std::size_t i) { return code_[i]; }

 private:
  sock_filter* code_;
  std::size_t room_, size_ = 0;
};

void allow(writer& out, int number) {
  out.add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1);
  out.answer(SECCOMP_RET_ALLOW);
}

void allow(writer& out, const permission& p) {
  const bool has_second = p.second >= 0;
  const int rest = has_second ? 5 : 3;  // instructions behind the first comparison
  out.load(offsetof(seccomp_data, nr));
  out.add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(p.number), 0, rest);
  out.load_argument(p.word);
  const int compare = p.how == test::equals ? BPF_JEQ : BPF_JSET;
  const int passed = 0, failed = rest - 2;
  out.add(BPF_JMP | compare | BPF_K, p.value, p.how == test::lacks ? failed : passed,
          p.how == test::lacks ? passed : failed);
  if (has_second) {
    out.load_argument(p.second);
    out.add(BPF_JMP | BPF_JEQ | BPF_K, p.second_value, 0, 1);
  }
  out.answer(SECCOMP_RET_ALLOW);
}

// Other calls, and those of another architecture, are the given filter's to judge.
void write_permissions(writer& out) {
  out.load(offsetof(seccomp_data, arch));
  out.add(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0);
  const std::size_t elsewhere = out.size();
  out.add(BPF_JMP | BPF_JA, 0);
  out.load(offsetof(seccomp_data, nr));
  for (const int each : harmless) allow(out, each);
  // Its flags lie in memory, where no filter sees them: libc goes on with clone, which shows them.
  out.add(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
  out.answer(SECCOMP_RET_ERRNO | ENOSYS);
  for (const permission& each : permitted) allow(out, each);
  if (out.fits()) out.at(elsewhere).k = static_cast<std::uint32_t>(out.size() - elsewhere - 1);
  out.add(BPF_LD | BPF_W | BPF_IMM, 0);  // as a filter finds it
}

bool is_sane(const sock_fprog* given) {
  return given != nullptr && given->filter != nullptr && given->len > 0 && given->len <= BPF_MAXINSNS;
}

}  // namespace

widened_filter::widened_filter(const sock_fprog* given) : given_(given) {
  if (!is_sane(given)) return;
  auto* memory = static_cast<std::byte*>(std::malloc(sizeof(sock_fprog) + BPF_MAXINSNS * sizeof(sock_filter)));
  if (memory == nullptr) return;
  auto* code = reinterpret_cast<sock_filter*>(memory + sizeof(sock_fprog));
  writer out(code, BPF_MAXINSNS);
  write_permissions(out);
  if (out.size() + given->len > BPF_MAXINSNS) {
    std::free(memory);
    return;
  }
  std::memcpy(code + out.size(), given->filter, given->len * sizeof(sock_filter));
  ours_ = reinterpret_cast<sock_fprog*>(memory);
  *ours_ = {static_cast<unsigned short>(out.size() + given->len), code};
}

widened_filter::~widened_filter() { std::free(ours_); }

const sock_fprog* widened_filter::program() const { return ours_ != nullptr ? ours_ : given_; }

}  // namespace preload

using namespace preload;

namespace {

bool gives_up_root(uid_t user) { return user != 0 && user != static_cast<uid_t>(-1) && ::geteuid() == 0; }

// Without root there is no link to be had any more.
void before_becoming(uid_t user) {
  if (gives_up_root(user)) library::open_while_allowed();
}

}  // namespace

int hook::prctl(int what, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  if (what != PR_SET_SECCOMP || a != SECCOMP_MODE_FILTER) return real.prctl(what, a, b, c, d);
  library::open_while_allowed();
  const widened_filter filter(reinterpret_cast<const sock_fprog*>(b));
  return real.prctl(what, a, reinterpret_cast<unsigned long>(filter.program()), c, d);
}

int hook::setuid(uid_t user) {
  before_becoming(user);
  return real.setuid(user);
}
int hook::seteuid(uid_t user) {
  before_becoming(user);
  return real.seteuid(user);
}
int hook::setreuid(uid_t user, uid_t effective) {
  before_becoming(effective);
  return real.setreuid(user, effective);
}
int hook::setresuid(uid_t user, uid_t effective, uid_t saved) {
  before_becoming(effective);
  return real.setresuid(user, effective, saved);
}
int hook::chroot(const char* path) {
  library::open_while_allowed();  // what has to be loaded for it is out of sight then
  return real.chroot(path);
}
