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

inline bool translate(const sockaddr_in& from, fastudp_addr& to) {
  to = {};
  to.family = FASTUDP_IPV4;
  to.port = ntohs(from.sin_port);
  std::memcpy(to.bytes, &from.sin_addr, sizeof from.sin_addr);
  return true;
}

inline bool translate(const sockaddr_in6& from, fastudp_addr& to) {
  to = {};
  to.family = FASTUDP_IPV6;
  to.port = ntohs(from.sin6_port);
  to.scope_id = from.sin6_scope_id;
  std::memcpy(to.bytes, &from.sin6_addr, sizeof from.sin6_addr);
  return true;
}

// False: not exactly an IP address; then the kernel says what is wrong with it, or takes it.
inline bool translate(const sockaddr* from, socklen_t length, fastudp_addr& to) {
  constexpr socklen_t shortest_v6 = 24;  // before there was a scope (RFC 2133)
  if (from == nullptr || length < sizeof(sockaddr_in) || length > sizeof(sockaddr_storage)) return false;
  sockaddr_in6 any{};
  std::memcpy(&any, from, std::min<std::size_t>(length, sizeof any));
  if (length < sizeof any) any.sin6_scope_id = 0;
  if (any.sin6_family == AF_INET6 && length >= shortest_v6) return translate(any, to);
  if (any.sin6_family != AF_INET) return false;
  sockaddr_in v4;
  std::memcpy(&v4, from, sizeof v4);
  return translate(v4, to);
}

// Returns how long it is; 0: there is none.
inline socklen_t translate(const fastudp_addr& from, sockaddr_in6& to) {
  to = {};
  if (from.family == FASTUDP_IPV6) {
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(from.port);
    to.sin6_scope_id = from.scope_id;
    std::memcpy(&to.sin6_addr, from.bytes, sizeof to.sin6_addr);
    return sizeof to;
  }
  if (from.family != FASTUDP_IPV4) return 0;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(from.port);
  std::memcpy(&v4.sin_addr, from.bytes, sizeof v4.sin_addr);
  std::memcpy(&to, &v4, sizeof v4);
  return sizeof v4;
}

// As the kernel does: cut at *length, which then says how long it is. 0 or -errno.
inline int store(const fastudp_addr& from, sockaddr* to, socklen_t* length) {
  if (length == nullptr) return -EFAULT;
  if (static_cast<int>(*length) < 0) return -EINVAL;
  sockaddr_in6 out;
  const socklen_t full = translate(from, out);
  std::memcpy(to, &out, std::min(*length, full));
  *length = full;
  return 0;
}

// fastudp counts bytes in 32 bits.
inline std::uint32_t limited(std::size_t size) {
  return static_cast<std::uint32_t>(std::min<std::size_t>(size, UINT32_MAX));
}

}  // namespace preload
