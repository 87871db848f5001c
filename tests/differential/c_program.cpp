#include "c_program.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <cstring>

#include "options.h"

namespace differential {
namespace {

std::string number(std::int64_t value) { return std::to_string(value); }
std::string fd(int slot) { return slot < 0 ? "-1" : "fd[" + number(slot) + "]"; }

struct word {
  int value;
  const char* text;
};

constexpr word message_flags[] = {{MSG_OOB, "MSG_OOB"},
                                  {MSG_PEEK, "MSG_PEEK"},
                                  {MSG_DONTROUTE, "MSG_DONTROUTE"},
                                  {MSG_CTRUNC, "MSG_CTRUNC"},
                                  {MSG_TRUNC, "MSG_TRUNC"},
                                  {MSG_DONTWAIT, "MSG_DONTWAIT"},
                                  {MSG_EOR, "MSG_EOR"},
                                  {MSG_WAITALL, "MSG_WAITALL"},
                                  {MSG_CONFIRM, "MSG_CONFIRM"},
                                  {MSG_ERRQUEUE, "MSG_ERRQUEUE"},
                                  {MSG_NOSIGNAL, "MSG_NOSIGNAL"},
                                  {MSG_MORE, "MSG_MORE"},
                                  {MSG_WAITFORONE, "MSG_WAITFORONE"}};
constexpr word epoll_flags[] = {{EPOLLIN, "EPOLLIN"}, {EPOLLOUT, "EPOLLOUT"}, {EPOLLONESHOT, "EPOLLONESHOT"}};
constexpr word commands[] = {{F_GETFL, "F_GETFL"},  {F_SETFL, "F_SETFL"}, {F_GETFD, "F_GETFD"},
                             {F_SETFD, "F_SETFD"},  {F_DUPFD, "F_DUPFD"}, {F_DUPFD_CLOEXEC, "F_DUPFD_CLOEXEC"},
                             {F_GETOWN, "F_GETOWN"}};
constexpr word requests[] = {
    {FIONREAD, "FIONREAD"}, {TIOCOUTQ, "TIOCOUTQ"}, {FIONBIO, "FIONBIO"}, {FIOASYNC, "FIOASYNC"}};
constexpr word set_commands[] = {
    {EPOLL_CTL_ADD, "EPOLL_CTL_ADD"}, {EPOLL_CTL_MOD, "EPOLL_CTL_MOD"}, {EPOLL_CTL_DEL, "EPOLL_CTL_DEL"}};

template <typename List>
std::string sum(const List& list, int value) {
  std::string out;
  for (const word& each : list) {
    if ((value & each.value) == 0) continue;
    out += (out.empty() ? "" : " | ") + std::string(each.text);
    value &= ~each.value;
  }
  if (value == 0 && !out.empty()) return out;
  return out + (out.empty() ? "" : " | ") + number(value);
}

template <typename List>
std::string one(const List& list, int value) {
  for (const word& each : list) {
    if (each.value == value) return each.text;
  }
  return number(value);
}

std::string bytes(const void* data, std::size_t size) {
  std::string out = "BYTES(";
  for (std::size_t i = 0; i < size; ++i) {
    out += (i == 0 ? "" : ", ") + number(static_cast<const unsigned char*>(data)[i]);
  }
  return out + (size == 0 ? "0)" : ")");
}

// Address and length, as two arguments.
std::string address(const place& p) {
  const std::string length = ", " + number(static_cast<int>(p.length));
  if (p.is_null) return "NULL" + length;
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(p.raw);
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(p.raw);
  const std::string port = p.port_of >= 0 ? "port_of(" + fd(p.port_of) + ")" : number(ntohs(v4.sin_port));
  char text[INET6_ADDRSTRLEN];
  if (p.raw.ss_family == AF_INET && p.length == sizeof v4) {
    return "AT4(\"" + std::string(inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text)) + "\", " + port + ")" + length;
  }
  if (p.raw.ss_family == AF_INET6) {
    return "AT6(\"" + std::string(inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text)) + "\", " + port + ", " +
           number(v6.sin6_scope_id) + ")" + length;
  }
  return "(void*)" + bytes(&p.raw, sizeof(sockaddr_in6)) + length;
}

std::string payload(const piece& p, std::uint32_t fill) {
  return (p.is_null ? "NULL" : "payload + " + number(fill)) + ", " + number(p.size);
}

std::string pieces_to_send(const message& m, std::uint32_t fill) {
  std::string out = "PIECES(";
  std::size_t at = fill;
  for (const piece& each : m.pieces) {
    out += (&each == m.pieces.data() ? "{" : ", {") + payload(each, static_cast<std::uint32_t>(at)) + "}";
    at += each.size / 2;
  }
  return out + "), " + number(static_cast<int>(m.pieces.size()));
}

std::string message_to_send(const message& m, std::uint32_t fill) {
  const std::string control = m.has_control ? bytes(m.control.data(), m.control.size()) : "NULL";
  return address(m.to) + ", " + pieces_to_send(m, fill) + ", " + control + ", " + number(int(m.control.size()));
}

std::string room(const message& m) {
  std::string out = number(m.name_room) + ", " + number(m.control_room) + ", ROOM(";
  for (const piece& each : m.pieces) {
    out += (&each == m.pieces.data() ? "" : ", ") + number(each.is_null ? -static_cast<int>(each.size) : each.size);
  }
  return out + "), " + number(static_cast<int>(m.pieces.size()));
}

std::string option_name(const step& s) {
  const option* known = find_option(s.level, s.name);
  if (known == nullptr) return number(s.level) + ", " + number(s.name);
  return std::string(known->level_text) + ", " + known->text;
}

std::string option_value(const step& s) {
  const option* known = find_option(s.level, s.name);
  const std::string all = bytes(s.value.data(), s.value.size());
  if (!s.has_value) return "NULL";
  return known != nullptr && known->kind == value_kind::program ? "PROGRAM(" + all + ")" : all;
}

std::string call_on(const step& s, const std::string& arguments) {
  return std::string(name_of(s.what)) + "(" + fd(s.slot) + (arguments.empty() ? "" : ", ") + arguments + ")";
}

std::string shown(const std::string& call) { return "SHOW(" + call + ");"; }
std::string kept(int slot, const std::string& call) { return fd(slot) + " = SHOW(" + call + ");"; }

std::string descriptor_call(const step& s) {
  const std::string target = "number_of(" + number(s.other) + ")";
  switch (s.what) {
    case call::socket:
      return kept(s.slot, "socket(" + std::string(s.level == AF_INET ? "AF_INET" : "AF_INET6") + ", " +
                              (s.name == SOCK_DGRAM ? "SOCK_DGRAM" : number(s.name)) + ", " + number(s.number) + ")");
    case call::dup:
      return kept(s.other, call_on(s, ""));
    case call::dup2:
      return kept(s.other, call_on(s, target));
    case call::dup3:
      return kept(s.other, call_on(s, target + ", " + number(s.flags)));
    default:
      return shown(call_on(s, ""));
  }
}

std::string watched(const step& s) {
  std::string out = "WATCHED(";
  for (const auto& [slot, events] : s.watched) {
    out += (&slot == &s.watched[0].first ? "{" : ", {") + number(slot) + ", " + number(events) + "}";
  }
  return out + "), " + number(static_cast<int>(s.watched.size()));
}

std::string several(const step& s) {
  std::string out = "{\n    struct mmsghdr list[] = {";
  for (std::size_t i = 0; i < s.messages.size(); ++i) {
    const message& m = s.messages[i];
    const auto fill = static_cast<std::uint32_t>((s.fill + i) % 251);
    out += (i == 0 ? "" : ", ") +
           std::string(s.what == call::sendmmsg ? "MESSAGE(" + message_to_send(m, fill) : "ROOM_FOR(" + room(m)) + ")";
  }
  const std::string count = number(static_cast<int>(s.messages.size()));
  out += "};\n    show_" + std::string(name_of(s.what)) + "(" + fd(s.slot) + ", list, " + count + ", " +
         sum(message_flags, s.flags);
  return out + (s.what == call::recvmmsg ? ", " + number(s.number) : "") + ");\n  }";
}

std::string data_call(const step& s) {
  if (s.what == call::sendmmsg || s.what == call::recvmmsg) return several(s);
  const message& m = s.messages[0];
  const std::string flags = sum(message_flags, s.flags);
  const piece whole = m.pieces.empty() ? piece{} : m.pieces[0];
  const std::string function = "show_" + std::string(name_of(s.what)) + "(" + fd(s.slot) + ", ";
  switch (s.what) {
    case call::send:
      return shown(call_on(s, payload(whole, s.fill) + ", " + flags));
    case call::sendto:
      return shown(call_on(s, payload(whole, s.fill) + ", " + flags + ", " + address(m.to)));
    case call::write:
      return shown(call_on(s, payload(whole, s.fill)));
    case call::writev:
      return shown(call_on(s, pieces_to_send(m, s.fill)));
    case call::sendmsg:
      return function + message_to_send(m, s.fill) + ", " + flags + ");";
    case call::read:
    case call::readv:
      return function + room(m) + ");";
    default:
      return function + room(m) + ", " + flags + ");";
  }
}

std::string set_call(const step& s) {
  if (s.what == call::epoll_create1) return kept(s.slot, "epoll_create1(" + number(s.flags) + ")");
  if (s.what != call::epoll_ctl) {
    return "show_" + std::string(name_of(s.what)) + "(" + fd(s.slot) + ", " + number(s.number) + ");";
  }
  const std::string event =
      "EVENT(" + sum(epoll_flags, static_cast<int>(s.watched[0].second)) + ", " + number(s.other) + ")";
  return shown(call_on(s, one(set_commands, s.name) + ", " + fd(s.other) + ", " + (s.has_value ? event : "NULL")));
}

std::string fcntl_call(const step& s) {
  const std::string text = call_on(s, one(commands, s.name) + ", " + number(s.number));
  return s.name == F_DUPFD || s.name == F_DUPFD_CLOEXEC ? kept(s.other, text) : shown(text);
}

}  // namespace

std::string as_c(const step& s) {
  switch (s.what) {
    case call::bind:
    case call::connect:
      return shown(call_on(s, address(s.where)));
    case call::getsockname:
    case call::getpeername:
      return "show_" + std::string(name_of(s.what)) + "(" + fd(s.slot) + ", " + number(s.messages[0].name_room) + ", " +
             number(s.has_value) + ");";
    case call::shutdown:
      return shown(call_on(s, number(s.number)));
    case call::fcntl:
      return fcntl_call(s);
    case call::ioctl:
      return "show_ioctl(" + fd(s.slot) + ", " + one(requests, s.name) + ", " + number(s.number) + ", " +
             number(s.has_value) + ");";
    case call::getsockopt:
      return "show_getsockopt(" + fd(s.slot) + ", " + option_name(s) + ", " + number(s.length) + ", " +
             number(s.has_value) + ");";
    case call::setsockopt:
      return shown(call_on(s, option_name(s) + ", " + option_value(s) + ", " + number(s.length)));
    case call::select:
    case call::pselect:
      return "show_" + std::string(name_of(s.what)) + "(" + watched(s) + ", " + number(s.flags) + ");";
    case call::poll:
    case call::ppoll:
      return "show_" + std::string(name_of(s.what)) + "(" + watched(s) + ");";
    case call::drain:
      return "show_drain();";
    default:
      if (s.what >= call::send && s.what <= call::readv) return data_call(s);
      return s.what >= call::epoll_create1 ? set_call(s) : descriptor_call(s);
  }
}

std::string c_program(const std::vector<step>& sequence) {
  std::string out = "#include \"shown.h\"\n\nint main(void) {\n  begin();\n";
  for (const step& each : sequence) out += "  " + as_c(each) + "\n";
  return out + "  return 0;\n}\n";
}

}  // namespace differential
