#include "host/reinjector.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace fastudp {
namespace {

constexpr std::size_t udp_header = 8, udp_checksum_at = 6;

status send_to(int socket, std::span<std::byte> datagram, const void* where, std::size_t size) {
  const auto* to = static_cast<const sockaddr*>(where);
  const ssize_t sent =
      ::sendto(socket, datagram.data(), datagram.size(), MSG_DONTWAIT, to, static_cast<socklen_t>(size));
  return sent >= 0 ? status{} : error{errno};
}

// RFC 8200, 8.1: over the addresses, the length, the protocol and the message, as words in network order.
std::uint16_t checksum_v6(std::span<const std::byte> addresses, std::span<const std::byte> message) {
  std::uint64_t sum = message.size() + IPPROTO_UDP;
  for (const auto part : {addresses, message}) {
    for (std::size_t i = 0; i < part.size(); ++i) {
      const auto byte = std::to_integer<std::uint64_t>(part[i]);
      sum += i % 2 == 0 ? byte << 8 : byte;
    }
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  const auto out = static_cast<std::uint16_t>(~sum);
  return out != 0 ? out : 0xffff;
}

}  // namespace

// IPPROTO_RAW: what is sent begins with its IP header, and nothing is received.
result<reinjector> reinjector::open() {
  reinjector out;
  out.v4_ = descriptor(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!out.v4_) return error{errno};
  out.v6_ = descriptor(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));  // a host may do without IPv6
  return out;
}

status reinjector::give(std::span<std::byte> datagram) const {
  return (datagram[0] >> 4) == std::byte{6} ? give_v6(datagram) : give_v4(datagram);
}

status reinjector::give_v4(std::span<std::byte> datagram) const {
  constexpr std::size_t fragment_at = 6, destination_at = 16;
  const std::size_t header = static_cast<std::size_t>(datagram[0] & std::byte{0xf}) * 4;
  if (datagram.size() < header + udp_header) return error{EINVAL};
  // It is whole by now, whatever it came in; and its checksum may be one that a local sender left undone. None at all
  // is right on IPv4 (RFC 768), within a host.
  std::memset(&datagram[fragment_at], 0, 2);
  std::memset(&datagram[header + udp_checksum_at], 0, 2);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  std::memcpy(&to.sin_addr, &datagram[destination_at], sizeof to.sin_addr);
  return send_to(v4_.number(), datagram, &to, sizeof to);
}

// Here the checksum has to be there.
status reinjector::give_v6(std::span<std::byte> datagram) const {
  constexpr std::size_t header = 40, next_header_at = 6, addresses_at = 8, destination_at = 24;
  if (datagram.size() < header + udp_header) return error{EINVAL};
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  std::memcpy(&to.sin6_addr, &datagram[destination_at], sizeof to.sin6_addr);
  const bool is_plain = std::to_integer<int>(datagram[next_header_at]) == IPPROTO_UDP;
  if (!is_plain || IN6_IS_ADDR_LINKLOCAL(&to.sin6_addr)) return error{EOPNOTSUPP};
  std::byte* const checksum = &datagram[header + udp_checksum_at];
  std::memset(checksum, 0, 2);
  const std::uint16_t sum =
      htons(checksum_v6(datagram.subspan(addresses_at, header - addresses_at), datagram.subspan(header)));
  std::memcpy(checksum, &sum, sizeof sum);
  return send_to(v6_.number(), datagram, &to, sizeof to);
}

}  // namespace fastudp
