// Programs that are replaced by others or change their user, and calls by number.

#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "call.h"
#include "real.h"
#include "sandbox.h"

using namespace preload;

namespace {

// What the next program inherits is the kernel's: it may have come without us.
bool before_spawn() {
  bool done = true;
  table.for_each_from(0, [&](int fd, entry what) {
    const int flags = what.socket() != nullptr ? real.fcntl(fd, F_GETFD, 0) : -1;
    if (flags < 0 || (flags & FD_CLOEXEC)) return;
    const call c(fd);
    if (c && !c.hand_over(cause::forked)) done = false;
  });
  return done;
}

bool before_exec() {
  library::will_exec();
  return before_spawn();
}

// The arguments of execl and its relatives as an array, which lives as long as `run` takes.
template <typename Run>
int with_list(const char* first, va_list list, const Run& run) {
  std::size_t count = 1;
  va_list counting;
  va_copy(counting, list);
  for (const char* each = first; each != nullptr; each = va_arg(counting, const char*)) ++count;
  va_end(counting);
  auto** arguments = static_cast<char**>(alloca(count * sizeof(char*)));
  std::size_t n = 0;
  for (const char* each = first; n < count; each = ++n < count ? va_arg(list, const char*) : nullptr) {
    arguments[n] = const_cast<char*>(each);
  }
  return run(arguments);
}

// What can't succeed is a question what the kernel knows: libseccomp asks some.
long confine(long operation, long flags, long program) {
  const bool is_strict = operation == SECCOMP_SET_MODE_STRICT && flags == 0 && program == 0;
  const bool is_filter = operation == SECCOMP_SET_MODE_FILTER && program != 0;
  if (!is_strict && !is_filter) return real.syscall(SYS_seccomp, operation, flags, program, 0, 0, 0);
  filter_to_be filter(is_filter ? reinterpret_cast<const sock_fprog*>(program) : nullptr);
  if (!filter.prepare()) return -1;
  return real.syscall(SYS_seccomp, operation, flags, is_filter ? reinterpret_cast<long>(filter.program()) : program, 0,
                      0, 0);
}

int as_int(long word) { return static_cast<int>(word); }
unsigned as_unsigned(long word) { return static_cast<unsigned>(word); }
template <typename T>
T* as_pointer(long word) {
  return reinterpret_cast<T*>(word);
}

// Whoever gives up his rights may open his first UDP socket later, or fork, and what that needs is made by rights.
void before_losing_rights() {
  library::open_while_allowed();
  library::will_lose_rights();
}

}  // namespace

int hook::setuid(uid_t user) {
  before_losing_rights();
  return real.setuid(user);
}
int hook::seteuid(uid_t user) {
  before_losing_rights();
  return real.seteuid(user);
}
int hook::setreuid(uid_t real_user, uid_t user) {
  before_losing_rights();
  return real.setreuid(real_user, user);
}
int hook::setresuid(uid_t real_user, uid_t user, uid_t saved) {
  before_losing_rights();
  return real.setresuid(real_user, user, saved);
}

int hook::execve(const char* path, char* const* arguments, char* const* environment) {
  return before_exec() ? real.execve(path, arguments, environment) : -1;
}
int hook::execv(const char* path, char* const* arguments) { return before_exec() ? real.execv(path, arguments) : -1; }
int hook::execvp(const char* file, char* const* arguments) { return before_exec() ? real.execvp(file, arguments) : -1; }
int hook::execvpe(const char* file, char* const* arguments, char* const* environment) {
  return before_exec() ? real.execvpe(file, arguments, environment) : -1;
}
int hook::fexecve(int fd, char* const* arguments, char* const* environment) {
  return before_exec() ? real.fexecve(fd, arguments, environment) : -1;
}
int hook::execveat(int folder, const char* path, char* const* arguments, char* const* environment, int flags) {
  return before_exec() ? real.execveat(folder, path, arguments, environment, flags) : -1;
}

int hook::execl(const char* path, const char* first, ...) {
  va_list list;
  va_start(list, first);
  const int outcome = with_list(first, list, [&](char** arguments) { return hook::execv(path, arguments); });
  va_end(list);
  return outcome;
}

int hook::execlp(const char* file, const char* first, ...) {
  va_list list;
  va_start(list, first);
  const int outcome = with_list(first, list, [&](char** arguments) { return hook::execvp(file, arguments); });
  va_end(list);
  return outcome;
}

// The environment follows the end of the list.
int hook::execle(const char* path, const char* first, ...) {
  va_list list;
  va_start(list, first);
  const int outcome =
      with_list(first, list, [&](char** arguments) { return hook::execve(path, arguments, va_arg(list, char**)); });
  va_end(list);
  return outcome;
}

// libc's own fork and exec, which handlers of forks don't hear of.
int hook::posix_spawn(pid_t* child, const char* path, const posix_spawn_file_actions_t* actions,
                      const posix_spawnattr_t* attributes, char* const* arguments, char* const* environment) {
  return before_spawn() ? real.posix_spawn(child, path, actions, attributes, arguments, environment) : errno;
}
int hook::posix_spawnp(pid_t* child, const char* file, const posix_spawn_file_actions_t* actions,
                       const posix_spawnattr_t* attributes, char* const* arguments, char* const* environment) {
  return before_spawn() ? real.posix_spawnp(child, file, actions, attributes, arguments, environment) : errno;
}

// As fork and exec do it, and out of sight as well. Asking whether there is a shell starts nothing.
int hook::system(const char* command) { return command == nullptr || before_exec() ? real.system(command) : -1; }
FILE* hook::popen(const char* command, const char* mode) { return before_exec() ? real.popen(command, mode) : nullptr; }

// What opens the link may be out of reach afterwards.
int hook::chroot(const char* path) {
  library::open_while_allowed();
  return real.chroot(path);
}

// What libuv and others call by number.
long hook::syscall(long number, long a, long b, long c, long d, long e, long f) {
  switch (number) {
    case SYS_close:
      return hook::close(as_int(a));
    case SYS_close_range:
      return hook::close_range(as_unsigned(a), as_unsigned(b), as_int(c));
    case SYS_socket:
      return hook::socket(as_int(a), as_int(b), as_int(c));
    case SYS_bind:
      return hook::bind(as_int(a), as_pointer<sockaddr>(b), as_unsigned(c));
    case SYS_connect:
      return hook::connect(as_int(a), as_pointer<sockaddr>(b), as_unsigned(c));
    case SYS_read:
      return hook::read(as_int(a), as_pointer<void>(b), static_cast<size_t>(c));
    case SYS_write:
      return hook::write(as_int(a), as_pointer<void>(b), static_cast<size_t>(c));
    case SYS_sendto:
      return hook::sendto(as_int(a), as_pointer<void>(b), static_cast<size_t>(c), as_int(d), as_pointer<sockaddr>(e),
                          as_unsigned(f));
    case SYS_recvfrom:
      return hook::recvfrom(as_int(a), as_pointer<void>(b), static_cast<size_t>(c), as_int(d), as_pointer<sockaddr>(e),
                            as_pointer<socklen_t>(f));
    case SYS_sendmsg:
      return hook::sendmsg(as_int(a), as_pointer<msghdr>(b), as_int(c));
    case SYS_recvmsg:
      return hook::recvmsg(as_int(a), as_pointer<msghdr>(b), as_int(c));
    case SYS_sendmmsg:
      return hook::sendmmsg(as_int(a), as_pointer<mmsghdr>(b), as_unsigned(c), as_int(d));
    case SYS_recvmmsg:
      return hook::recvmmsg(as_int(a), as_pointer<mmsghdr>(b), as_unsigned(c), as_int(d), as_pointer<timespec>(e));
    case SYS_dup:
      return hook::dup(as_int(a));
    case SYS_dup3:
      return hook::dup3(as_int(a), as_int(b), as_int(c));
    case SYS_fcntl:
      return hook::fcntl(as_int(a), as_int(b), static_cast<unsigned long>(c));
    case SYS_shutdown:
      return hook::shutdown(as_int(a), as_int(b));
    case SYS_setsockopt:
      return hook::setsockopt(as_int(a), as_int(b), as_int(c), as_pointer<void>(d), as_unsigned(e));
    case SYS_getsockopt:
      return hook::getsockopt(as_int(a), as_int(b), as_int(c), as_pointer<void>(d), as_pointer<socklen_t>(e));
    case SYS_epoll_ctl:
      return hook::epoll_ctl(as_int(a), as_int(b), as_int(c), as_pointer<epoll_event>(d));
    case SYS_prctl:
      return hook::prctl(as_int(a), static_cast<unsigned long>(b), static_cast<unsigned long>(c),
                         static_cast<unsigned long>(d), static_cast<unsigned long>(e));
    case SYS_seccomp:
      return confine(a, b, c);
    default:
      return real.syscall(number, a, b, c, d, e, f);
  }
}
