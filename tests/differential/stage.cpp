#include "stage.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "options.h"

namespace differential {

std::span<const std::byte> pattern() {
  static const auto made = [] {
    std::vector<std::byte> out(100'000);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(i * 2'654'435'761u >> 24);
    return out;
  }();
  return made;
}

void stage::keep(int slot, int made) {
  if (made < 0) return;
  opened_.push_back(made);
  if (slot >= 0) slots_[static_cast<std::size_t>(slot)] = made;
}

void stage::clear() {
  std::ranges::sort(opened_);
  const auto [first, last] = std::ranges::unique(opened_);
  opened_.erase(first, last);
  for (const int fd : opened_) ::close(fd);
  opened_.clear();
  slots_.fill(-1);
  has_pieces_ = has_stamps_ = false;
}

const sockaddr* stage::address_of(const place& wanted, socklen_t& length) {
  length = wanted.length;
  if (wanted.is_null) return nullptr;
  static thread_local sockaddr_storage patched;
  patched = wanted.raw;
  if (wanted.port_of >= 0) {
    sockaddr_in6 own{};
    socklen_t size = sizeof own;
    ::getsockname(at(wanted.port_of), reinterpret_cast<sockaddr*>(&own), &size);
    reinterpret_cast<sockaddr_in6&>(patched).sin6_port = own.sin6_port;
  }
  return reinterpret_cast<const sockaddr*>(&patched);
}

std::int64_t stage::done(const step& s, std::int64_t returned) {
  const int error = errno;
  out_.result(returned, error);
  census_.called(s.what, returned >= 0);
  return returned;
}

void stage::play(const step& s) {
  dispatch(s);
  if (settles_) settle();
}

// Whoever is looked at learns what has come for it, and for others; and an error about that comes after it.
void stage::settle() {
  constexpr int rounds = 3;
  pollfd list[slot_count];
  nfds_t count = 0;
  for (const int fd : slots_) {
    if (fd >= 0) list[count++] = {fd, POLLIN, 0};
  }
  for (int i = 0; i < rounds; ++i) {
    there_.reflect();
    (void)::poll(list, count, 0);
  }
  there_.reflect();
}

void stage::dispatch(const step& s) {
  switch (s.what) {
    case call::bind:
    case call::connect:
    case call::getsockname:
    case call::getpeername:
    case call::shutdown:
      return names(s);
    case call::socket:
    case call::close:
    case call::dup:
    case call::dup2:
    case call::dup3:
      return descriptors(s);
    case call::fcntl:
    case call::ioctl:
      return control_calls(s);
    case call::getsockopt:
      return get_option(s);
    case call::setsockopt:
      return set_option(s);
    case call::recvmmsg:
      return receive_many(s);
    case call::select:
    case call::pselect:
      return watch_selected(s);
    case call::poll:
    case call::ppoll:
      return watch_polled(s);
    case call::drain:
      return drain();
    default:
      break;
  }
  if (s.what >= call::epoll_create1) return sets(s);
  s.what <= call::writev ? send(s) : receive(s);
}

void stage::names(const step& s) {
  const int fd = at(s.slot);
  socklen_t length = 0;
  const sockaddr* where = address_of(s.where, length);
  errno = 0;
  if (s.what == call::bind) done(s, ::bind(fd, where, length));
  if (s.what == call::connect) done(s, ::connect(fd, where, length));
  if (s.what == call::shutdown) done(s, ::shutdown(fd, static_cast<int>(s.number)));
  if (s.what != call::getsockname && s.what != call::getpeername) return;
  sockaddr_storage found;
  std::memset(&found, 0xee, sizeof found);
  const int room = s.messages[0].name_room;
  socklen_t size = static_cast<socklen_t>(room);
  auto* const to = room == -1 ? nullptr : reinterpret_cast<sockaddr*>(&found);
  auto* const by = s.has_value ? &size : nullptr;
  const int got = s.what == call::getsockname ? ::getsockname(fd, to, by) : ::getpeername(fd, to, by);
  if (done(s, got) == 0) out_.address(&found, std::min<std::size_t>(size, static_cast<unsigned>(room)), size);
}

void stage::descriptors(const step& s) {
  const int fd = at(s.slot), other = at(s.other);
  const int target = other >= 0 ? other : 50 + s.other;
  errno = 0;
  if (s.what == call::socket) return keep(s.slot, int(done(s, ::socket(s.level, s.name, int(s.number)))));
  if (s.what == call::close) {
    done(s, ::close(fd));
  } else if (s.what == call::dup) {
    keep(s.other, static_cast<int>(done(s, ::dup(fd))));
  } else {
    const int made = s.what == call::dup2 ? ::dup2(fd, target) : ::dup3(fd, target, s.flags);
    keep(s.other, static_cast<int>(done(s, made)));
  }
}

void stage::control_calls(const step& s) {
  const int fd = at(s.slot);
  int value = static_cast<int>(s.number);
  errno = 0;
  if (s.what == call::ioctl) {
    const int outcome = ::ioctl(fd, static_cast<unsigned long>(s.name), s.has_value ? &value : nullptr);
    const bool is_excused = s.name == TIOCOUTQ && has_pieces_;  // "Bytes that are held" in docs/differences.md
    if (done(s, outcome) == 0 && !is_excused) out_ << " value " << value;
    return;
  }
  const bool is_duplicate = s.name == F_DUPFD || s.name == F_DUPFD_CLOEXEC;
  const auto outcome = static_cast<int>(done(s, ::fcntl(fd, s.name, value)));
  if (is_duplicate) keep(s.other, outcome);
}

void stage::get_option(const step& s) {
  std::byte room[512];
  std::memset(room, 0xee, sizeof room);
  socklen_t size = static_cast<socklen_t>(s.length);
  errno = 0;
  const int got = ::getsockopt(at(s.slot), s.level, s.name, s.has_value ? room : nullptr, &size);
  census_.option(false, s.level, s.name, got == 0);
  if (done(s, got) == 0) out_.option(s.level, s.name, {room, std::min<std::size_t>(size, sizeof room)});
}

static sock_fprog program_of(const step& s) {
  auto* const first = reinterpret_cast<sock_filter*>(const_cast<std::byte*>(s.value.data()));
  return {static_cast<unsigned short>(s.value.size() / sizeof *first), first};
}

void stage::set_option(const step& s) {
  errno = 0;
  const sock_fprog program = program_of(s);
  const option* const known = find_option(s.level, s.name);
  const bool is_program = known != nullptr && known->kind == value_kind::program;
  const void* const given = is_program ? static_cast<const void*>(&program) : s.value.data();
  const int set =
      ::setsockopt(at(s.slot), s.level, s.name, s.has_value ? given : nullptr, static_cast<socklen_t>(s.length));
  census_.option(true, s.level, s.name, set == 0);
  has_stamps_ = has_stamps_ || (known != nullptr && known->kind == value_kind::stamping);
  has_pieces_ = has_pieces_ || (s.level == IPPROTO_UDP && s.name == UDP_CORK);
  done(s, set);
}

void stage::watch_polled(const step& s) {
  pollfd list[slot_count];
  nfds_t count = 0;
  for (const auto& [slot, events] : s.watched) {
    if (at(slot) >= 0) list[count++] = {at(slot), static_cast<short>(events), 0};
  }
  const timespec now{};
  errno = 0;
  done(s, s.what == call::poll ? ::poll(list, count, 0) : ::ppoll(list, count, &now, nullptr));
  for (nfds_t i = 0; i < count; ++i) {
    out_ << " " << list[i].fd << ":";
    out_.hex(static_cast<unsigned short>(list[i].revents));
  }
}

void stage::watch_selected(const step& s) {
  fd_set sets[3];
  fd_set* given[3]{};
  int most = 0;
  for (int i = 0; i < 3; ++i) {
    FD_ZERO(&sets[i]);
    if (s.flags >> i & 1) given[i] = &sets[i];
  }
  for (const auto& [slot, events] : s.watched) {
    const int fd = at(slot);
    if (fd < 0) continue;
    most = std::max(most, fd + 1);
    for (unsigned i = 0; i < 3; ++i) {
      if ((events >> (2 * i) & 1) != 0 || i == 2) FD_SET(fd, &sets[i]);
    }
  }
  timeval none{};
  const timespec now{};
  errno = 0;
  const int found = s.what == call::select ? ::select(most, given[0], given[1], given[2], &none)
                                           : ::pselect(most, given[0], given[1], given[2], &now, nullptr);
  if (done(s, found) < 0) return;
  for (int i = 0; i < 3; ++i) {
    for (int fd = 0; given[i] != nullptr && fd < most; ++fd) {
      if (FD_ISSET(fd, &sets[i])) out_ << (i == 0 ? " r" : i == 1 ? " w" : " x") << fd;
    }
  }
}

// A number that was a socket's may be a set's by now.
bool stage::is_a_set(int fd) const { return std::find(slots_.begin() + first_set, slots_.end(), fd) != slots_.end(); }

void stage::sets(const step& s) {
  const int set = at(s.slot);
  errno = 0;
  if (s.what == call::epoll_create1) return keep(s.slot, static_cast<int>(done(s, ::epoll_create1(s.flags))));
  if (s.what != call::epoll_ctl) return wait_for_set(s);
  // Which the generator can't know, who keeps away from "Edges of sets in sets" in docs/differences.md.
  if (s.other < first_set && is_a_set(at(s.other))) return;
  epoll_event event{};
  event.events = s.watched[0].second;
  // "Members with the same data" in docs/differences.md.
  const auto number = static_cast<std::uint64_t>(std::max(at(s.other), 0));
  event.data.u64 = static_cast<std::uint64_t>(s.other) | number << 8 | std::uint64_t{0x12345678} << 32;
  done(s, ::epoll_ctl(set, s.name, at(s.other), s.has_value ? &event : nullptr));
}

void stage::wait_for_set(const step& s) {
  epoll_event events[16]{};
  const auto most = static_cast<int>(s.number);
  const timespec now{};
  int found;
  if (s.what == call::epoll_wait) {
    found = ::epoll_wait(at(s.slot), events, most, 0);
  } else if (s.what == call::epoll_pwait) {
    found = ::epoll_pwait(at(s.slot), events, most, 0, nullptr);
  } else {
    found = ::epoll_pwait2(at(s.slot), events, most, &now, nullptr);
  }
  done(s, found);
  const std::span told(events, static_cast<std::size_t>(std::max(found, 0)));
  out_.events(told, found == most);
}

}  // namespace differential
