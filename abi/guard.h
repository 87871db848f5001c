#pragma once
// Between C and C++: handles, results, addresses and messages. The shims themselves are one to three lines.

#include <fastudp.h>

#include <cerrno>
#include <cstring>

#include "base/result.h"
#include "endpoint/endpoint.h"
#include "endpoint/engine.h"
#include "endpoint/raw_link.h"
#include "endpoint/waiting.h"

namespace fastudp::abi {

inline engine& open(fastudp_stack* s) { return *reinterpret_cast<engine*>(s); }
inline endpoint& open(fastudp_socket* s) { return *reinterpret_cast<endpoint*>(s); }
inline raw_link& open(fastudp_link* l) { return *reinterpret_cast<raw_link*>(l); }
inline fastudp_stack* seal(engine* h) { return reinterpret_cast<fastudp_stack*>(h); }
inline fastudp_socket* seal(endpoint* e) { return reinterpret_cast<fastudp_socket*>(e); }
inline fastudp_link* seal(raw_link* l) { return reinterpret_cast<fastudp_link*>(l); }

inline int to_int(const status& outcome) { return -outcome.code(); }
template <typename T>
int to_int(const result<T>& outcome) {
  return outcome ? static_cast<int>(*outcome) : -outcome.code();
}

// Runs the rest only if no pointer is null.
template <typename... Pointer, typename Call>
auto guarded(const Call& call, const Pointer*... needed) -> decltype(call()) {
  if ((... || (needed == nullptr))) return -EFAULT;
  return call();
}

inline void from_c(const fastudp_addr& in, endpoint_address& out) {
  out.port = in.port;
  out.scope = in.scope_id;
  if (in.family == FASTUDP_IPV6) {
    std::memcpy(out.address.bytes.data(), in.bytes, out.address.bytes.size());
  } else {
    ipv4_address v4;
    std::memcpy(v4.bytes.data(), in.bytes, v4.bytes.size());
    out.address = v4;
  }
}

inline endpoint_address from_c(const fastudp_addr& in) {
  endpoint_address out;
  from_c(in, out);
  return out;
}

// As a socket of the family has it: to one of IPv6 an IPv4 address is a mapped one.
inline void to_c(const endpoint_address& in, ip_family family, fastudp_addr& out) {
  const bool is_v6 = family == ip_family::v6;
  const ipv4_address v4 = in.address.ipv4();
  std::memset(out.bytes, 0, sizeof out.bytes);
  std::memcpy(out.bytes, is_v6 ? in.address.bytes.data() : v4.bytes.data(), is_v6 ? sizeof out.bytes : sizeof v4);
  out.scope_id = is_v6 ? in.scope : 0;
  out.port = in.port;
  out.family = is_v6 ? FASTUDP_IPV6 : FASTUDP_IPV4;
  out.reserved = 0;
}

inline fastudp_addr to_c(const endpoint_address& in, ip_family family) {
  fastudp_addr out;
  to_c(in, family, out);
  return out;
}

inline bool is_known_family(const fastudp_addr& addr) {
  return addr.family == FASTUDP_IPV4 || addr.family == FASTUDP_IPV6;
}

// Runs `call` with the address if it is of a family that we speak.
template <typename Call>
int with_address(const fastudp_addr* addr, const Call& call) {
  if (addr == nullptr) return -EFAULT;
  if (!is_known_family(*addr)) return -EAFNOSUPPORT;
  return to_int(call(from_c(*addr)));
}

inline void copy_text(const char* from, char* to, std::size_t size) {
  if (to == nullptr || size == 0) return;
  const std::size_t length = std::min(std::strlen(from), size - 1);
  std::memcpy(to, from, length);
  to[length] = '\0';
}

}  // namespace fastudp::abi
