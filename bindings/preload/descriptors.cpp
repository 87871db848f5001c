#include "descriptors.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "call.h"
#include "epoll_set.h"
#include "real.h"
#include "receive.h"

using namespace preload;

namespace {

#define CALLER __builtin_return_address(0)

void release(entry what) {
  if (fast_socket* s = what.socket()) s->number_closed();
  if (epoll_set* s = what.set()) s->number_closed();
}

int refuse(int error) {
  errno = error;
  return -1;
}

// The library's descriptors don't exist for the program.
bool is_hidden(int fd, const void* caller) { return table.load(fd).is_internal() && !library::contains(caller); }

// In a child of vfork the parent still has it.
int close_object(int fd) {
  if (!library::is_at_home()) return real.close(fd);
  end_if_cancelled();
  entry before;
  table.exchange(fd, entry::kernel, before);
  const int outcome = close_uncancelled(fd);
  const int error = errno;
  release(before);
  errno = error;
  return outcome;
}

int close_internal(int fd, const void* caller) {
  if (!library::contains(caller)) return refuse(EBADF);
  table.store(fd, entry::kernel);
  return real.close(fd);
}

// Nothing is ours, nor was: there is nothing to note.
inline bool is_plain(int fd, int made) {
  const entry stale = table.load(made);
  return is_foreign(fd) && !stale.is_object() && !stale.is_internal();
}

[[gnu::noinline]] int note_duplicate(int fd, int made) {
  if (made < 0 || made == fd || !library::is_at_home()) return made;
  const int error = errno;
  forget(made);
  if (fast_socket* s = pin_socket(fd)) {
    s->number_opened();
    table.store(made, entry(s));
  } else if (epoll_set* set = epoll_set::pin(fd)) {
    set->number_opened();
    table.store(made, entry(set));
  } else {
    table.store(made, entry::kernel);
  }
  errno = error;
  return made;
}

// `made` is from now on what `fd` is.
inline int duplicated(int fd, int made) { return is_plain(fd, made) ? made : note_duplicate(fd, made); }

int duplicate_anywhere(int fd, int made, const void* caller) {
  return library::contains(caller) ? library::keep(made) : duplicated(fd, made);
}

bool is_udp(int family, int type, int protocol) {
  constexpr int modifiers = SOCK_NONBLOCK | SOCK_CLOEXEC;
  return (family == AF_INET || family == AF_INET6) && (type & ~modifiers) == SOCK_DGRAM &&
         (protocol == 0 || protocol == IPPROTO_UDP);
}

// One that a signal handler opens while its thread is in fastudp is looked at when it is used.
int adopt_new(int fd) {
  table.store(fd, entry::unknown);
  const inside outermost(nullptr);
  const int outcome = outermost ? library::adopt(fd) : 0;
  if (outcome < 0) table.store(fd, entry::kernel);
  if (outcome != -EOPNOTSUPP) return fd;
  close_uncancelled(fd);
  return refuse(EOPNOTSUPP);
}

void set_flags(const call& c, int flags) {
  c->nonblocking = flags & O_NONBLOCK;
  if (flags & O_ASYNC) c.hand_over(cause::option);  // signals come from the kernel's half alone
}

int set_flags(int fd, int command, unsigned long flags) {
  const call c(fd);
  const int outcome = real.fcntl(fd, command, flags);
  if (c && outcome == 0) set_flags(c, static_cast<int>(flags));
  return outcome;
}

// Neither ours nor hidden, nor about to become another number.
bool is_about_file(int fd, int command) {
  return command != F_DUPFD && command != F_DUPFD_CLOEXEC && table.load(fd) == entry::kernel;
}

[[gnu::noinline]] int control(int fd, int command, unsigned long argument, const void* caller) {
  if (is_hidden(fd, caller)) return refuse(EBADF);
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      return duplicate_anywhere(fd, real.fcntl(fd, command, argument), caller);
    case F_SETFL:
      return set_flags(fd, command, argument);
    default:
      return real.fcntl(fd, command, argument);
  }
}

// When the last datagram came is the kernel's to remember.
bool asks_for_stamp(unsigned long request) {
  return request == SIOCGSTAMP_OLD || request == SIOCGSTAMPNS_OLD || request == SIOCGSTAMP_NEW ||
         request == SIOCGSTAMPNS_NEW;
}

bool is_for_sockets(unsigned long request) {
  return request == FIONBIO || request == FIONREAD || request == FIOASYNC || asks_for_stamp(request);
}

int readable_bytes(const call& c, int fd, unsigned long request, unsigned long argument) {
  if (argument == 0) return real.ioctl(fd, request, argument);
  *reinterpret_cast<int*>(argument) = static_cast<int>(fastudp_socket_next_length(c.handle()));
  return 0;
}

int set_nonblocking(const call& c, int fd, unsigned long argument) {
  const int outcome = real.ioctl(fd, FIONBIO, argument);
  if (outcome == 0) c->nonblocking = *reinterpret_cast<int*>(argument) != 0;
  return outcome;
}

bool changes_network(unsigned long request) {
  return request == SIOCSIFMTU || request == SIOCSIFADDR || request == SIOCSIFNETMASK || request == SIOCSIFBRDADDR ||
         request == SIOCSIFFLAGS || request == SIOCSIFHWADDR || request == SIOCADDRT || request == SIOCDELRT ||
         request == SIOCSARP || request == SIOCDARP;
}

// What comes next in this program relies on it.
int change_network(int fd, unsigned long request, unsigned long argument) {
  const int outcome = real.ioctl(fd, request, argument);
  fastudp_stack* stack = outcome == 0 ? library::stack() : nullptr;
  const inside outermost(nullptr);
  if (stack != nullptr && outermost) (void)fastudp_stack_host_changed(stack);
  return outcome;
}

[[gnu::noinline]] int control_io(int fd, unsigned long request, unsigned long argument) {
  const call c(fd);
  if (!c) return real.ioctl(fd, request, argument);
  if (request == FIONBIO) return set_nonblocking(c, fd, argument);
  if (request == FIONREAD) return readable_bytes(c, fd, request, argument);
  if (!c.hand_over(cause::option)) return -1;
  return real.ioctl(fd, request, argument);
}

// What fastudp has open stays open.
int close_around_ours(unsigned first, unsigned last, int flags) {
  int outcome = 0;
  table.for_each_from(first, [&](int fd, entry what) {
    const auto at = static_cast<unsigned>(fd);
    if (!what.is_internal() || at > last || outcome != 0) return;
    if (at > first) outcome = real.close_range(first, at - 1, flags);
    first = at + 1;
  });
  if (outcome != 0 || first > last) return outcome;
  return real.close_range(first, last, flags);
}

void release_range(unsigned first, unsigned last) {
  table.for_each_from(first, [&](int fd, entry what) {
    if (what.is_object() && static_cast<unsigned>(fd) <= last) forget(fd);
  });
}

constexpr int only_mark = 4;  // CLOSE_RANGE_CLOEXEC

}  // namespace

void preload::forget(int fd) {
  const entry known = table.load(fd);
  if (!known.is_object() && !known.is_internal()) return;
  if (!library::is_at_home()) return;
  if (table.replace(fd, known, entry::kernel)) release(known);
}

int preload::created(int fd, const void* caller) {
  if (fd < 0) return fd;
  if (library::contains(caller)) return library::keep(fd);
  const int error = errno;
  forget(fd);
  errno = error;
  return fd;
}

int hook::socket(int family, int type, int protocol) {
  const int fd = real.socket(family, type, protocol);
  const int out = created(fd, CALLER);
  if (fd < 0 || !is_udp(family, type, protocol) || table.load(out).is_internal()) return out;
  return library::is_at_home() ? adopt_new(fd) : fd;
}

int hook::close(int fd) {
  const entry found = table.load(fd);
  if (found.is_object()) [[unlikely]]
    return close_object(fd);
  if (found.is_internal()) [[unlikely]]
    return close_internal(fd, CALLER);
  return real.close(fd);
}

int hook::close_range(unsigned first, unsigned last, int flags) {
  if (first > last || (flags & only_mark)) return real.close_range(first, last, flags);
  const int outcome = close_around_ours(first, last, flags);
  if (outcome == 0 && library::is_at_home()) release_range(first, last);
  return outcome;
}

void hook::closefrom(int first) {
  const unsigned low = first < 0 ? 0 : static_cast<unsigned>(first);
  if (hook::close_range(low, ~0u, 0) == 0) return;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  for (unsigned long fd = low; fd < limit.rlim_max && fd < descriptor_table::page_size * descriptor_table::pages;
       ++fd) {
    hook::close(static_cast<int>(fd));
  }
}

// Without libc: after a system call one more function to return from costs as much as all that is done here.
int hook::dup(int fd) {
  return is_hidden(fd, CALLER) ? refuse(EBADF) : duplicate_anywhere(fd, raw<int>(SYS_dup, fd), CALLER);
}

int hook::dup2(int fd, int wanted) {
  if (is_hidden(fd, CALLER) || is_hidden(wanted, CALLER)) return refuse(EBADF);
  return duplicated(fd, real.dup2(fd, wanted));
}

int hook::dup3(int fd, int wanted, int flags) {
  if (is_hidden(fd, CALLER) || is_hidden(wanted, CALLER)) return refuse(EBADF);
  return duplicated(fd, real.dup3(fd, wanted, flags));
}

int hook::fcntl(int fd, int command, unsigned long argument) {
  return is_about_file(fd, command) ? real.fcntl(fd, command, argument) : control(fd, command, argument, CALLER);
}
int hook::fcntl64(int fd, int command, unsigned long argument) {
  return is_about_file(fd, command) ? real.fcntl(fd, command, argument) : control(fd, command, argument, CALLER);
}

int hook::ioctl(int fd, unsigned long request, unsigned long argument) {
  if (is_for_sockets(request))
    return is_foreign(fd) ? real.ioctl(fd, request, argument) : control_io(fd, request, argument);
  return changes_network(request) ? change_network(fd, request, argument) : real.ioctl(fd, request, argument);
}

// libc closes the descriptor out of our sight.
int hook::fclose(FILE* file) {
  const int fd = file != nullptr ? ::fileno(file) : -1;
  if (fd < 0 || !table.load(fd).is_object()) return real.fclose(file);
  const int outcome = real.fclose(file);
  const int error = errno;
  forget(fd);
  errno = error;
  return outcome;
}

#define PRELOAD_CALL(...)
#define PRELOAD_LIST(...)
#define PRELOAD_ALIAS(result, name, of, parameters, arguments) \
  result hook::name parameters { return hook::of arguments; }
#define PRELOAD_CREATOR(result, name, parameters, arguments, number) \
  result hook::name parameters { return created(real.name arguments, CALLER); }
#include "calls.def"
#undef PRELOAD_CALL
#undef PRELOAD_LIST
#undef PRELOAD_ALIAS
#undef PRELOAD_CREATOR

int hook::pipe(int* fds) {
  const int outcome = real.pipe(fds);
  for (int i = 0; outcome == 0 && i < 2; ++i) fds[i] = created(fds[i], CALLER);
  return outcome;
}

int hook::pipe2(int* fds, int flags) {
  const int outcome = real.pipe2(fds, flags);
  for (int i = 0; outcome == 0 && i < 2; ++i) fds[i] = created(fds[i], CALLER);
  return outcome;
}

int hook::socketpair(int family, int type, int protocol, int* fds) {
  const int outcome = real.socketpair(family, type, protocol, fds);
  for (int i = 0; outcome == 0 && i < 2; ++i) fds[i] = created(fds[i], CALLER);
  return outcome;
}
