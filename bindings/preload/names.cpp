// Addresses, options and shutdown: fastudp asks the kernel first where the kernel owns the address.

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>

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

bool is_v6_only(int fd, const call& c) {
  int only = 0;
  socklen_t size = sizeof only;
  return !c->is_ipv4() && real.getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) == 0 && only != 0;
}

using name_getter = int (*)(fastudp_socket*, fastudp_addr*);
using real_name_getter = int (*)(int, sockaddr*, socklen_t*);

// What is asked for is there, but the place for it is none.
int otherwise_wrong(const sockaddr* address, socklen_t* length) {
  if (length != nullptr && static_cast<int>(*length) < 0) return give_int(-EINVAL);
  if (length == nullptr || (address == nullptr && *length != 0)) return give_int(-EFAULT);
  *length = sizeof(sockaddr_in);
  return 0;
}

int get_name(int fd, sockaddr* address, socklen_t* length, name_getter get, real_name_getter otherwise) {
  const call c(fd);
  const bool is_sane = address != nullptr && length != nullptr && static_cast<int>(*length) >= 0;
  if (!c || (!is_sane && !library::is_alone())) return otherwise(fd, address, length);
  fastudp_addr found{};
  const int outcome = get(c.handle(), &found);
  if (outcome < 0) return give_int(outcome);
  if (!is_sane) return otherwise_wrong(address, length);
  store(found, address, length);
  return 0;
}

// The kernel's half says what is wrong with it, or that all is well.
bool is_unknown(int outcome) { return outcome == -ENOPROTOOPT; }

}  // namespace

int hook::bind(int fd, const sockaddr* address, socklen_t length) {
  const call c(fd);
  fastudp_addr to;
  // Of the other family, it is the kernel's to refuse.
  if (!c || !translate_to_bind(address, length, to) || (to.family == FASTUDP_IPV4) != c->is_ipv4()) {
    return real.bind(fd, address, length);
  }
  if (!user_rules::before_binding(c, to)) return -1;
  return give_int(fastudp_socket_bind(c.handle(), &to));
}

int hook::connect(int fd, const sockaddr* address, socklen_t length) {
  const call c(fd);
  fastudp_addr to;
  const bool is_refused = c && c->is_ipv4() && is_family(address, length, AF_INET6);
  if (!c || is_refused || !translate_to_connect(address, length, to)) return real.connect(fd, address, length);
  if (!user_rules::before_connecting(c, to)) return -1;
  const int outcome = fastudp_socket_connect(c.handle(), &to);
  // IPv4's own form of address is refused otherwise than the mapped one.
  const bool is_other_form = outcome == -ENETUNREACH && to.family == FASTUDP_IPV4 && is_v6_only(fd, c);
  return give_int(is_other_form ? -EAFNOSUPPORT : outcome);
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

namespace {

// What Linux takes without a value, it takes for 0.
int set_to_nothing(const call& c, int fd, int level, int name, socklen_t length) {
  const int nothing = 0, outcome = real.setsockopt(fd, level, name, nullptr, length);
  if (outcome == 0) (void)fastudp_socket_set_option(c.handle(), level, name, &nothing, sizeof nothing);
  return outcome;
}

// The program's own filter, asked for without a place to write it to: the kernel would speak of ours.
int measure_filter(const call& c, socklen_t* length) {
  std::size_t instructions = 0;
  (void)fastudp_socket_get_option(c.handle(), SOL_SOCKET, SO_GET_FILTER, nullptr, &instructions);
  if (instructions != 0) return give_int(*length < instructions ? -EINVAL : -EFAULT);
  *length = 0;
  return 0;
}

// That there is no room for it Linux says last.
int get_into_nothing(const call& c, int level, int name, std::size_t size) {
  alignas(sockaddr_storage) std::byte nowhere[512];
  std::size_t room = std::min(size, sizeof nowhere);
  const int outcome = fastudp_socket_get_option(c.handle(), level, name, nowhere, &room);
  return outcome < 0 ? outcome : -EFAULT;
}

}  // namespace

int hook::setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  const call c(fd);
  if (!c || static_cast<int>(length) < 0) return real.setsockopt(fd, level, name, value, length);
  if (value == nullptr && length != 0) return set_to_nothing(c, fd, level, name, length);
  if (level == IPPROTO_UDP && name == UDP_CORK) c->sends_pieces.store(true, std::memory_order_relaxed);
  const int outcome = fastudp_socket_set_option(c.handle(), level, name, value, length);
  if (is_unknown(outcome)) return real.setsockopt(fd, level, name, value, length);
  return give_int(outcome);
}

int hook::getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  const call c(fd);
  const bool is_sane = length != nullptr && static_cast<int>(*length) >= 0;
  const bool has_room = is_sane && (value != nullptr || *length == 0);
  const bool is_filter = level == SOL_SOCKET && name == SO_GET_FILTER;
  if (c && is_sane && !has_room && is_filter) return measure_filter(c, length);
  const bool asks_for_filter = name == MCAST_MSFILTER || (level == IPPROTO_IP && name == IP_MSFILTER);  // says of what
  const bool is_stacks_alone = c && is_sane && library::is_alone() && !asks_for_filter;
  if (!c || (!has_room && !is_stacks_alone)) return real.getsockopt(fd, level, name, value, length);
  std::size_t size = *length;
  const int outcome = has_room ? fastudp_socket_get_option(c.handle(), level, name, value, &size)
                               : get_into_nothing(c, level, name, size);
  if (is_unknown(outcome)) return real.getsockopt(fd, level, name, value, length);
  if (outcome == 0) *length = static_cast<socklen_t>(size);
  return give_int(outcome);
}
