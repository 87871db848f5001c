#include "socket/icmp_errno.h"

#include <cerrno>
#include <iterator>

#include "wire/icmpv4.h"
#include "wire/icmpv6.h"

namespace fastudp {
namespace {

// By the codes of "unreachable" (RFC 792, RFC 1812 5.2.7.1).
constexpr socket_error unreachable[] = {
    {ENETUNREACH, false},   // network
    {EHOSTUNREACH, false},  // host
    {ENOPROTOOPT, true},    // protocol
    {ECONNREFUSED, true},   // port
    {EMSGSIZE, false},      // fragmentation needed
    {EOPNOTSUPP, false},    // source route failed
    {ENETUNREACH, true},    // network unknown
    {EHOSTDOWN, true},      // host unknown
    {ENONET, true},         // source isolated
    {ENETUNREACH, true},    // network prohibited
    {EHOSTUNREACH, true},   // host prohibited
    {ENETUNREACH, false},   // network, for this service
    {EHOSTUNREACH, false},  // host, for this service
    {EHOSTUNREACH, true},   // communication prohibited
    {EHOSTUNREACH, true},   // precedence violation
    {EHOSTUNREACH, true},   // precedence cut-off
};

// The same for ICMPv6 (RFC 4443 3.1).
constexpr socket_error unreachable_v6[] = {
    {ENETUNREACH, false},   // no route
    {EACCES, true},         // prohibited
    {EHOSTUNREACH, false},  // beyond scope
    {EHOSTUNREACH, false},  // address
    {ECONNREFUSED, true},   // port
    {EACCES, true},         // policy
    {EACCES, true},         // route rejected
};

}  // namespace

socket_error errno_of_icmp(std::uint8_t type, std::uint8_t code) {
  switch (static_cast<icmpv4_type>(type)) {
    case icmpv4_type::unreachable:
      return code < std::size(unreachable) ? unreachable[code] : socket_error{EHOSTUNREACH, false};
    case icmpv4_type::parameter_problem:
      return {EPROTO, true};
    default:
      return {EHOSTUNREACH, false};
  }
}

socket_error errno_of_icmpv6(std::uint8_t type, std::uint8_t code) {
  switch (static_cast<icmpv6_type>(type)) {
    case icmpv6_type::unreachable:
      return code < std::size(unreachable_v6) ? unreachable_v6[code] : socket_error{EPROTO, true};
    case icmpv6_type::packet_too_big:
      return {EMSGSIZE, false};
    case icmpv6_type::time_exceeded:
      return {EHOSTUNREACH, false};
    default:
      return {EPROTO, true};
  }
}

}  // namespace fastudp
