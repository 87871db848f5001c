#include "host/reinjector.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace fastudp {

result<reinjector> reinjector::open() {
  reinjector out;
  // IPPROTO_RAW: what is sent begins with its IP header, and nothing is received.
  out.socket_ = descriptor(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!out.socket_) return error{errno};
  return out;
}

status reinjector::give(std::span<std::byte> datagram) const {
  constexpr std::size_t fragment_at = 6, destination_at = 16, udp_checksum_at = 6, udp_header = 8;
  const std::size_t header = static_cast<std::size_t>(datagram[0] & std::byte{0xf}) * 4;
  if (datagram.size() < header + udp_header) return error{EINVAL};
  // It is whole by now, whatever it came in; and its checksum may be one that a local sender left undone. None at all
  // is right on IPv4 (RFC 768), within a host.
  std::memset(&datagram[fragment_at], 0, 2);
  std::memset(&datagram[header + udp_checksum_at], 0, 2);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  std::memcpy(&to.sin_addr, &datagram[destination_at], sizeof to.sin_addr);
  const auto* where = reinterpret_cast<const sockaddr*>(&to);
  const ssize_t sent = ::sendto(socket_.number(), datagram.data(), datagram.size(), MSG_DONTWAIT, where, sizeof to);
  return sent >= 0 ? status{} : error{errno};
}

}  // namespace fastudp
