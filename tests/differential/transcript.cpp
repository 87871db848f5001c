#include "transcript.h"

#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "options.h"

namespace differential {
namespace {

constexpr std::uint16_t first_ephemeral_port = 32'768;

// "Numbers of interfaces" in docs/differences.md: of the kernel's, when the other side has none.
constexpr std::uint32_t hidden_interface = 4;

// Where control messages have the number of an interface; a report, in the address of who sent the error.
constexpr struct {
  int level, type;
  std::size_t at;
} interface_numbers[] = {
    {IPPROTO_IP, IP_PKTINFO, offsetof(in_pktinfo, ipi_ifindex)},
    {IPPROTO_IPV6, IPV6_PKTINFO, offsetof(in6_pktinfo, ipi6_ifindex)},
    {IPPROTO_IPV6, IPV6_2292PKTINFO, offsetof(in6_pktinfo, ipi6_ifindex)},
    {IPPROTO_IPV6, IPV6_RECVERR, sizeof(sock_extended_err) + offsetof(sockaddr_in6, sin6_scope_id)},
};

std::vector<std::byte> without_interface(const cmsghdr& header, std::span<const std::byte> data) {
  std::vector<std::byte> out(data.begin(), data.end());
  for (const auto& [level, type, at] : interface_numbers) {
    std::uint32_t number = 0;
    if (header.cmsg_level != level || header.cmsg_type != type || data.size() < at + sizeof number) continue;
    std::memcpy(&number, &out[at], sizeof number);
    if (number == hidden_interface) std::memset(&out[at], 0, sizeof number);
  }
  return out;
}

// Of sends with MSG_ZEROCOPY. "Reports" in docs/differences.md: whether the bytes were copied after all.
constexpr std::size_t copied_at = offsetof(sock_extended_err, ee_code);
bool is_completion(const cmsghdr& header, std::span<const std::byte> data) {
  const bool is_report = (header.cmsg_level == IPPROTO_IP && header.cmsg_type == IP_RECVERR) ||
                         (header.cmsg_level == IPPROTO_IPV6 && header.cmsg_type == IPV6_RECVERR);
  return is_report && data.size() > copied_at &&
         data[offsetof(sock_extended_err, ee_origin)] == std::byte{SO_EE_ORIGIN_ZEROCOPY};
}

bool is_any_stamp(int type) {
  static constexpr int types[] = {SO_TIMESTAMP_OLD, SO_TIMESTAMPNS_OLD, SO_TIMESTAMPING_OLD,
                                  SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW, SO_TIMESTAMPING_NEW};
  return std::ranges::find(types, type) != std::end(types);
}

}  // namespace

transcript& transcript::operator<<(std::int64_t number) {
  char digits[24];
  text_.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
  return *this;
}

void transcript::hex(std::uint64_t number) {
  char digits[24];
  text_.append(digits, std::to_chars(digits, digits + sizeof digits, number, 16).ptr);
}

void transcript::result(std::int64_t returned, int error) {
  *this << " = " << returned;
  if (error == 0) return;
  const char* name = strerrorname_np(error);
  *this << (returned == -1 ? " " : " but errno ") << (name == nullptr ? "?" : name);
}

void transcript::bytes(std::span<const std::byte> some) {
  static constexpr char digits[] = "0123456789abcdef";
  for (const std::byte each : some) {
    text_ += digits[static_cast<unsigned>(each) >> 4];
    text_ += digits[static_cast<unsigned>(each) & 15];
  }
}

// The first that is seen is E1.
void transcript::port(std::uint16_t number) {
  if (number < first_ephemeral_port) {
    *this << number;
    return;
  }
  auto found = std::ranges::find(ephemeral_, number);
  if (found == ephemeral_.end()) found = ephemeral_.insert(found, number);
  *this << "E" << (found - ephemeral_.begin() + 1);
}

void transcript::address(const void* raw, std::size_t room, std::size_t length) {
  *this << " address " << static_cast<std::int64_t>(length) << ":";
  sockaddr_in6 out{};
  const std::size_t there = std::min({room, length, sizeof out});
  std::memcpy(&out, raw, there);
  if (out.sin6_family == AF_INET6) {
    out.sin6_flowinfo = 0;  // "Flow labels" in docs/differences.md
    if (out.sin6_scope_id == hidden_interface) out.sin6_scope_id = 0;
  }
  const bool is_v4 = out.sin6_family == AF_INET, is_v6 = out.sin6_family == AF_INET6;
  if (there < 16 || !(is_v4 || is_v6))
    return bytes({reinterpret_cast<std::byte*>(&out), std::min<std::size_t>(there, 2)});
  bytes({reinterpret_cast<std::byte*>(&out), 2});
  *this << " ";
  bytes({reinterpret_cast<std::byte*>(&out) + 4, there - 4});
  *this << " port ";
  port(ntohs(out.sin6_port));
}

void transcript::control(std::span<const std::byte> messages) {
  *this << " control " << static_cast<std::int64_t>(messages.size());
  while (messages.size() >= sizeof(cmsghdr)) {
    cmsghdr header;
    std::memcpy(&header, messages.data(), sizeof header);
    const std::size_t length = std::min<std::size_t>(header.cmsg_len, messages.size());
    *this << " [" << header.cmsg_level << "," << header.cmsg_type << "," << static_cast<std::int64_t>(header.cmsg_len)
          << ":";
    if (length < CMSG_LEN(0)) break;
    const auto data = messages.subspan(CMSG_LEN(0), length - CMSG_LEN(0));
    const auto shown = without_interface(header, data);
    const bool is_address = (header.cmsg_level == IPPROTO_IP && header.cmsg_type == IP_ORIGDSTADDR) ||
                            (header.cmsg_level == IPPROTO_IPV6 && header.cmsg_type == IPV6_ORIGDSTADDR);
    const bool is_sum = header.cmsg_level == IPPROTO_IP && header.cmsg_type == IP_CHECKSUM;
    const bool is_stamp = header.cmsg_level == SOL_SOCKET && is_any_stamp(header.cmsg_type);
    const bool is_flow = header.cmsg_level == IPPROTO_IPV6 && header.cmsg_type == IPV6_FLOWINFO;
    if (is_completion(header, data)) {
      bytes(data.first(copied_at));
      bytes(data.subspan(copied_at + 1));
    } else if (is_stamp) {
      stamps(data);
    } else if (is_address) {
      address(data.data(), data.size(), data.size());
    } else {
      // The rest is a hash of the ports, or a sum of them.
      bytes(is_flow ? data.first(1) : is_sum ? data.first(0) : std::span<const std::byte>(shown));
    }
    *this << "]";
    messages = messages.subspan(std::min(messages.size(), CMSG_ALIGN(length)));
  }
}

// Of each time, whether it is told.
void transcript::stamps(std::span<const std::byte> times) {
  for (; !times.empty(); times = times.subspan(std::min<std::size_t>(times.size(), 8))) {
    const auto one = times.first(std::min<std::size_t>(times.size(), 8));
    *this << (std::ranges::all_of(one, [](std::byte each) { return each == std::byte{}; }) ? "0" : "t");
  }
}

void transcript::option(int level, int name, std::span<const std::byte> value) {
  *this << " value " << static_cast<std::int64_t>(value.size()) << ":";
  const auto* known = find_option(level, name);
  if (known != nullptr && known->use == when::unseen) return;
  if (level == SOL_SOCKET && name == SO_PEERNAME) return address(value.data(), value.size(), value.size());
  // Which is the port, to a UDP socket.
  if (level == IPPROTO_IP && name == IP_PROTOCOL) {
    std::uint16_t number = first_ephemeral_port;
    if (value.size() >= sizeof number) std::memcpy(&number, value.data(), sizeof number);
    return port(number);
  }
  bytes(value);
}

void transcript::events(std::span<epoll_event> found, bool is_full) {
  if (is_full) return;
  std::ranges::sort(found, {}, [](const epoll_event& each) { return each.data.u64; });
  for (const epoll_event& each : found) {
    *this << " ";
    hex(each.data.u64);
    *this << ":";
    hex(each.events);
  }
}

void transcript::append_sorted(std::vector<std::string>& lines) {
  std::ranges::sort(lines);
  for (const auto& each : lines) *this << each << "\n";
}

std::uint64_t transcript::hash_of(std::span<const std::byte> some) {
  std::uint64_t out = 0xcbf29ce484222325 ^ some.size();
  std::size_t i = 0;
  for (; i + 8 <= some.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, some.data() + i, 8);
    out = (out ^ word) * 0x9fb21c651e98df25;
    out ^= out >> 32;
  }
  for (; i < some.size(); ++i) out = (out ^ static_cast<std::uint64_t>(some[i])) * 0x100000001b3;
  return out ^ out >> 29;
}

}  // namespace differential
