#pragma once
// Between Linux's socket addresses and fastudp's.

#include <fastudp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace preload {

// False: not exactly an IPv4 address; then the kernel says what is wrong with it, or takes it.
inline bool translate(const sockaddr* from, socklen_t length, fastudp_addr& to) {
  if (from == nullptr || length < sizeof(sockaddr_in) || length > sizeof(sockaddr_storage)) return false;
  sockaddr_in in;
  std::memcpy(&in, from, sizeof in);
  if (in.sin_family != AF_INET) return false;
  to = {};
  to.family = FASTUDP_IPV4;
  to.port = ntohs(in.sin_port);
  std::memcpy(to.bytes, &in.sin_addr, sizeof in.sin_addr);
  return true;
}

inline sockaddr_in translate(const fastudp_addr& from) {
  sockaddr_in out{};
  if (from.family == FASTUDP_UNSPEC) return out;
  out.sin_family = AF_INET;
  out.sin_port = htons(from.port);
  std::memcpy(&out.sin_addr, from.bytes, sizeof out.sin_addr);
  return out;
}

// As the kernel does: cut at *length, which then says how long it is. Family 0: there is none. 0 or -errno.
inline int store(const fastudp_addr& from, sockaddr* to, socklen_t* length) {
  if (length == nullptr) return -EFAULT;
  if (static_cast<int>(*length) < 0) return -EINVAL;
  const sockaddr_in out = translate(from);
  const socklen_t full = from.family == FASTUDP_UNSPEC ? 0 : sizeof out;
  std::memcpy(to, &out, std::min(*length, full));
  *length = full;
  return 0;
}

// fastudp counts bytes in 32 bits.
inline std::uint32_t limited(std::size_t size) {
  return static_cast<std::uint32_t>(std::min<std::size_t>(size, UINT32_MAX));
}

}  // namespace preload
