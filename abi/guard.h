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

inline endpoint_address from_c(const fastudp_addr& in) {
  endpoint_address out{.address = {}, .port = in.port};
  std::memcpy(out.address.bytes.data(), in.bytes, out.address.bytes.size());
  return out;
}

inline fastudp_addr to_c(const endpoint_address& in) {
  fastudp_addr out{};
  out.family = FASTUDP_IPV4;
  out.port = in.port;
  std::memcpy(out.bytes, in.address.bytes.data(), in.address.bytes.size());
  return out;
}

// Runs `call` with the address if it is of a family that we speak.
template <typename Call>
int with_ipv4(const fastudp_addr* addr, const Call& call) {
  if (addr == nullptr) return -EFAULT;
  if (addr->family != FASTUDP_IPV4) return -EAFNOSUPPORT;
  return to_int(call(from_c(*addr)));
}

inline void copy_text(const char* from, char* to, std::size_t size) {
  if (to == nullptr || size == 0) return;
  const std::size_t length = std::min(std::strlen(from), size - 1);
  std::memcpy(to, from, length);
  to[length] = '\0';
}

}  // namespace fastudp::abi
