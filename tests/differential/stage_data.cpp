// Sending and receiving.

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "stage.h"

namespace differential {
namespace {

constexpr std::size_t longest = 100'000;
// Of more room than this only what was written is looked at.
constexpr std::size_t looked_at_whole = 2'048, looked_at_beyond = 16;

template <typename Each>
void each_control(std::span<const std::byte> messages, const Each& each) {
  while (messages.size() >= sizeof(cmsghdr)) {
    cmsghdr header;
    std::memcpy(&header, messages.data(), sizeof header);
    each(header);
    if (header.cmsg_len < sizeof header) return;
    messages = messages.subspan(std::min(messages.size(), CMSG_ALIGN(std::min(header.cmsg_len, messages.size()))));
  }
}

std::size_t total(const message& m) {
  std::size_t out = 0;
  for (const piece& each : m.pieces) out += each.size;
  return out;
}

}  // namespace

// A message as the calls take it.
struct stage::outgoing {
  outgoing(stage& on, const message& from, std::uint32_t fill) {
    std::size_t at = fill;
    for (const piece& each : from.pieces) {
      void* const data = each.is_null ? nullptr : const_cast<std::byte*>(pattern().data() + at);
      pieces.push_back({data, each.size});
      at += each.size / 2;
    }
    socklen_t length = 0;
    if (const sockaddr* where = on.address_of(from.to, length)) std::memcpy(&to, where, sizeof to);
    header.msg_name = from.to.is_null ? nullptr : &to;
    header.msg_namelen = length;
    header.msg_iov = pieces.data();
    header.msg_iovlen = pieces.size();
    control = from.control;
    header.msg_control = from.has_control ? control.data() : nullptr;
    header.msg_controllen = control.size();
    each_control(control, [&](const cmsghdr& c) {
      on.census_.control(true, c.cmsg_level, c.cmsg_type);
      on.has_stamps_ = on.has_stamps_ || (c.cmsg_level == SOL_SOCKET && c.cmsg_type == SO_TIMESTAMPING);
    });
  }
  outgoing(const outgoing&) = delete;
  sockaddr_storage to{};
  std::vector<iovec> pieces;
  std::vector<std::byte> control;
  msghdr header{};
};

// Room for a message, in memory that is used again for the next call.
struct stage::incoming {
  incoming(const message& wanted, std::byte* memory) : start(memory), size(total(wanted)) {
    std::memset(start, 0xee, std::min(size, looked_at_whole) + looked_at_beyond);
    std::byte* at = start;
    for (const piece& each : wanted.pieces) {
      pieces.push_back({each.is_null ? nullptr : at, each.size});
      at += each.size;
    }
    std::memset(&name, 0xee, sizeof name);
    std::memset(control, 0xee, sizeof control);
    header.msg_name = wanted.name_room == -1 ? nullptr : &name;
    header.msg_namelen = static_cast<socklen_t>(wanted.name_room);
    header.msg_iov = pieces.data();
    header.msg_iovlen = pieces.size();
    header.msg_control = wanted.control_room < 0 ? nullptr : control;
    header.msg_controllen = wanted.control_room < 0 ? 0 : static_cast<std::size_t>(wanted.control_room);
    name_room = wanted.name_room;
  }
  incoming(const incoming&) = delete;

  void show_data(transcript& out, std::int64_t received) const {
    const auto stored = std::min(static_cast<std::size_t>(received), size);
    out << " data ";
    out.digest({start, size <= looked_at_whole ? size : stored});
  }
  void show_name(transcript& out, socklen_t length) const {
    if (name_room != -1) out.address(&name, static_cast<std::size_t>(std::max(name_room, 0)), length);
  }
  void show(transcript& out, census& counts, std::int64_t received, const msghdr& now) const {
    if (now.msg_flags & MSG_ERRQUEUE) {
      out << " an error's";
    } else {
      show_data(out, received);
    }
    show_name(out, now.msg_namelen);
    out << " flags ";
    out.hex(static_cast<unsigned>(now.msg_flags));
    const std::span messages(control, std::min<std::size_t>(now.msg_controllen, sizeof control));
    out.control(messages);
    each_control(messages, [&](const cmsghdr& c) { counts.control(false, c.cmsg_level, c.cmsg_type); });
  }

  std::byte* start;
  std::size_t size;
  std::vector<iovec> pieces;
  sockaddr_storage name;
  int name_room = -1;
  alignas(8) std::byte control[1024];
  msghdr header{};
};

// A call that would wait for ever is left out: poll knows, and is itself compared.
bool stage::would_wait(const step& s, int fd) {
  if (s.flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) return false;
  const int mode = ::fcntl(fd, F_GETFL);
  if (mode < 0 || (mode & O_NONBLOCK)) return false;
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, 0) == 0 || (one.revents & (POLLIN | POLLNVAL)) == 0;
}

void stage::send(const step& s) {
  const int fd = at(s.slot);
  census_.flags(true, s.flags);
  has_pieces_ = has_pieces_ || (s.flags & MSG_MORE);
  if (s.what == call::sendmmsg) {
    std::vector<std::unique_ptr<outgoing>> all;
    std::vector<mmsghdr> list(s.messages.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
      all.push_back(std::make_unique<outgoing>(*this, s.messages[i], (s.fill + i) % 251));
      list[i].msg_hdr = all[i]->header;
      list[i].msg_len = 0xeeee;
    }
    errno = 0;
    const auto sent = done(s, ::sendmmsg(fd, list.data(), static_cast<unsigned>(list.size()), s.flags));
    for (std::int64_t i = 0; i < sent; ++i) out_ << " " << list[static_cast<std::size_t>(i)].msg_len;
    return;
  }
  const outgoing m(*this, s.messages[0], s.fill);
  const iovec whole = m.pieces.empty() ? iovec{} : m.pieces[0];
  errno = 0;
  if (s.what == call::send) done(s, ::send(fd, whole.iov_base, whole.iov_len, s.flags));
  if (s.what == call::write) done(s, ::write(fd, whole.iov_base, whole.iov_len));
  if (s.what == call::writev) done(s, ::writev(fd, m.pieces.data(), static_cast<int>(m.pieces.size())));
  if (s.what == call::sendmsg) done(s, ::sendmsg(fd, &m.header, s.flags));
  if (s.what != call::sendto) return;
  const auto* to = static_cast<const sockaddr*>(m.header.msg_name);
  done(s, ::sendto(fd, whole.iov_base, whole.iov_len, s.flags, to, m.header.msg_namelen));
}

// "Reports" in docs/differences.md: all that the error queue has.
void stage::read_reports(int fd) {
  static thread_local std::byte memory[longest + looked_at_whole];
  std::vector<std::string> lines;
  message room;
  room.pieces = {{longest, false}};
  room.control_room = 512;
  for (ssize_t got = 0; got >= 0 && lines.size() < 1000;) {
    incoming m(room, memory);
    got = ::recvmsg(fd, &m.header, MSG_ERRQUEUE | MSG_DONTWAIT);
    transcript line;
    line << (got < 0 ? "none" : "report");
    if (got >= 0) m.show(line, census_, got, m.header);
    lines.push_back(line.text());
  }
  out_ << "\n";
  out_.append_sorted(lines);
}

void stage::receive(const step& s) {
  static thread_local std::byte memory[longest + looked_at_whole];
  const int fd = at(s.slot);
  const bool takes_flags = s.what == call::recv || s.what == call::recvfrom || s.what == call::recvmsg;
  step asked = s;
  if (!takes_flags) asked.flags = 0;
  if ((asked.flags & MSG_ERRQUEUE) && has_stamps_) return read_reports(fd);
  if (would_wait(asked, fd)) {
    out_ << " would wait";
    return;
  }
  census_.flags(false, asked.flags);
  incoming m(s.messages[0], memory);
  const iovec whole = m.pieces.empty() ? iovec{} : m.pieces[0];
  socklen_t length = m.header.msg_namelen;
  errno = 0;
  std::int64_t got = -1;
  if (s.what == call::recv) got = ::recv(fd, whole.iov_base, whole.iov_len, s.flags);
  if (s.what == call::read) got = ::read(fd, whole.iov_base, whole.iov_len);
  if (s.what == call::readv) got = ::readv(fd, m.pieces.data(), static_cast<int>(m.pieces.size()));
  if (s.what == call::recvmsg) got = ::recvmsg(fd, &m.header, s.flags);
  if (s.what == call::recvfrom) {
    auto* from = static_cast<sockaddr*>(m.header.msg_name);
    got = ::recvfrom(fd, whole.iov_base, whole.iov_len, s.flags, from, &length);
  }
  if (done(s, got) < 0) return;
  if (s.what == call::recvmsg) return m.show(out_, census_, got, m.header);
  if ((s.flags & MSG_ERRQUEUE) == 0) m.show_data(out_, got);
  if (s.what == call::recvfrom) m.show_name(out_, length);
}

void stage::receive_many(const step& s) {
  static thread_local std::vector<std::byte> memory;
  const int fd = at(s.slot);
  if ((s.flags & MSG_ERRQUEUE) && has_stamps_) return read_reports(fd);
  if (!s.messages.empty() && would_wait(s, fd)) {
    out_ << " would wait";
    return;
  }
  census_.flags(false, s.flags);
  std::size_t size = 0;
  for (const message& each : s.messages) size += total(each) + looked_at_whole;
  memory.resize(std::max(size, memory.size()));
  std::vector<std::unique_ptr<incoming>> all;
  std::vector<mmsghdr> list(s.messages.size());
  std::byte* at_byte = memory.data();
  for (std::size_t i = 0; i < list.size(); ++i) {
    all.push_back(std::make_unique<incoming>(s.messages[i], at_byte));
    at_byte += all[i]->size + looked_at_whole;
    list[i].msg_hdr = all[i]->header;
    list[i].msg_len = 0xeeee;
  }
  timespec limit{s.number / 1'000'000'000, s.number % 1'000'000'000};
  if (s.number == -2) limit = {0, -1};
  errno = 0;
  const auto got = done(
      s, ::recvmmsg(fd, list.data(), static_cast<unsigned>(list.size()), s.flags, s.number == -1 ? nullptr : &limit));
  for (std::size_t i = 0; got >= 0 && i < static_cast<std::size_t>(got); ++i) {
    out_ << " " << list[i].msg_len;
    all[i]->show(out_, census_, list[i].msg_len, list[i].msg_hdr);
  }
}

// Of sockets that share a port, nobody can tell which one a datagram comes to.
void stage::drain() {
  std::vector<std::string> lines;
  for (int slot = 0; slot < first_set; ++slot) {
    for (int errors = 0; errors < 10;) {
      static thread_local std::byte memory[longest + looked_at_whole];
      message room;
      room.pieces = {{longest, false}};
      incoming m(room, memory);
      const ssize_t got = ::recvmsg(at(slot), &m.header, MSG_DONTWAIT);
      if (got < 0) {
        if (errno == EAGAIN || errno == EBADF) break;
        ++errors;
        continue;
      }
      transcript line;
      line << "got " << static_cast<std::int64_t>(got);
      m.show_data(line, got);
      lines.push_back(line.text());
    }
  }
  out_ << "\n";
  out_.append_sorted(lines);
}

}  // namespace differential
