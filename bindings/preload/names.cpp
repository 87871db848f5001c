// Addresses, options and shutdown: fastudp asks the kernel first where the kernel owns the address.

#include <netinet/in.h>
#include <netinet/udp.h>

#include "address.h"
#include "call.h"
#include "real.h"
#include "user_rules.h"

using namespace preload;

namespace {

bool is_family(const sockaddr* address, socklen_t length, sa_family_t family) {
  return address != nullptr && length >= sizeof(sa_family_t) && address->sa_family == family;
}

// Linux binds to the any address without a family too.
bool translate_to_bind(const sockaddr* address, socklen_t length, fastudp_addr& to) {
  if (translate(address, length, to)) return true;
  if (!is_family(address, length, AF_UNSPEC) || length < sizeof(sockaddr_in) || length > sizeof(sockaddr_storage)) {
    return false;
  }
  sockaddr_in in;
  std::memcpy(&in, address, sizeof in);
  in.sin_family = AF_INET;
  return in.sin_addr.s_addr == INADDR_ANY && translate(reinterpret_cast<const sockaddr*>(&in), sizeof in, to);
}

bool translate_to_connect(const sockaddr* address, socklen_t length, fastudp_addr& to) {
  to = {};
  return translate(address, length, to) ||
         (is_family(address, length, AF_UNSPEC) && length <= sizeof(sockaddr_storage));
}

int family_of(const call& c) {
  fastudp_addr own{};
  return fastudp_socket_local_addr(c.handle(), &own) == 0 ? own.family : FASTUDP_UNSPEC;
}

using name_getter = int (*)(fastudp_socket*, fastudp_addr*);
using real_name_getter = int (*)(int, sockaddr*, socklen_t*);

int get_name(int fd, sockaddr* address, socklen_t* length, name_getter get, real_name_getter otherwise) {
  const call c(fd);
  if (!c || address == nullptr || length == nullptr || static_cast<int>(*length) < 0) {
    return otherwise(fd, address, length);
  }
  fastudp_addr found{};
  const int outcome = get(c.handle(), &found);
  if (outcome < 0) return give_int(outcome);
  store(found, address, length);
  return 0;
}

// What may be passed to the kernel's half when fastudp doesn't know it. Filters there are fastudp's own tool; the rest
// changes what arrives, so that the two halves would differ.
bool is_for_the_kernel(int level, int name) {
  if (level != SOL_SOCKET) return true;
  return name != SO_ATTACH_FILTER && name != SO_DETACH_FILTER && name != SO_LOCK_FILTER && name != SO_ATTACH_BPF &&
         name != SO_RXQ_OVFL;
}

bool is_unknown(int outcome, int level, int name) { return outcome == -ENOPROTOOPT && is_for_the_kernel(level, name); }

}  // namespace

int hook::bind(int fd, const sockaddr* address, socklen_t length) {
  const call c(fd);
  fastudp_addr to;
  // Of the other family, it is the kernel's to refuse.
  if (!c || !translate_to_bind(address, length, to) || to.family != family_of(c)) {
    return real.bind(fd, address, length);
  }
  if (!user_rules::before_binding(c, to)) return -1;
  return give_int(fastudp_socket_bind(c.handle(), &to));
}

int hook::connect(int fd, const sockaddr* address, socklen_t length) {
  const call c(fd);
  fastudp_addr to;
  const bool is_refused = c && family_of(c) == FASTUDP_IPV4 && is_family(address, length, AF_INET6);
  if (!c || is_refused || !translate_to_connect(address, length, to)) return real.connect(fd, address, length);
  if (!user_rules::before_connecting(c, to)) return -1;
  return give_int(fastudp_socket_connect(c.handle(), &to));
}

int hook::getsockname(int fd, sockaddr* address, socklen_t* length) {
  return get_name(fd, address, length, fastudp_socket_local_addr, real.getsockname);
}

int hook::getpeername(int fd, sockaddr* address, socklen_t* length) {
  return get_name(fd, address, length, fastudp_socket_peer_addr, real.getpeername);
}

int hook::shutdown(int fd, int how) {
  const call c(fd);
  if (!c) return real.shutdown(fd, how);
  const int outcome = fastudp_socket_shutdown(c.handle(), how);
  // Without a peer it fails, and takes effect all the same.
  if ((outcome == 0 || outcome == -ENOTCONN) && how != SHUT_WR) c->receive_is_shut = true;
  return give_int(outcome);
}

int hook::setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  const call c(fd);
  if (!c || static_cast<int>(length) < 0 || (value == nullptr && length != 0)) {
    return real.setsockopt(fd, level, name, value, length);
  }
  if (level == IPPROTO_UDP && name == UDP_CORK) c->sends_pieces.store(true, std::memory_order_relaxed);
  const int outcome = fastudp_socket_set_option(c.handle(), level, name, value, length);
  if (is_unknown(outcome, level, name)) return real.setsockopt(fd, level, name, value, length);
  return give_int(outcome);
}

int hook::getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  const call c(fd);
  if (!c || length == nullptr || static_cast<int>(*length) < 0 || (value == nullptr && *length != 0)) {
    return real.getsockopt(fd, level, name, value, length);
  }
  std::size_t size = *length;
  const int outcome = fastudp_socket_get_option(c.handle(), level, name, value, &size);
  if (is_unknown(outcome, level, name)) return real.getsockopt(fd, level, name, value, length);
  if (outcome == 0) *length = static_cast<socklen_t>(size);
  return give_int(outcome);
}
