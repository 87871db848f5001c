// Where a socket may send to, and what Linux says where it may not.

#include <cerrno>

#include "socket/udp_layer.h"
#include "socket/udp_socket.h"

namespace fastudp {

// A socket of IPv6 that has an address of IPv4 speaks no IPv6.
bool udp_socket::is_of_the_other_ip(const ip_address& destination) const {
  return family_ == ip_family::v6 && source_.is_v4() && !destination.is_v4();
}

// On an address of our own the kernel has no say in what is sent from it.
bool udp_socket::is_alone() const { return layer_.below().with_host() == sharing::none; }

bool udp_socket::is_kernels_to_judge(const send_choices& choices) const {
  return choices.is_said_twice || (!is_alone() && (choices.is_refused() || choices.is_for_host));
}

// A link-local address means something on one interface only. Who names none means the only one where we are alone;
// otherwise Linux wants to be told on which.
bool udp_socket::is_kernels_by_address(const endpoint_address& to) const {
  if (!is_alone()) return is_odd(to.address);
  const bool is_elsewhere = to.scope != 0 && to.scope != static_cast<std::uint32_t>(layer_.below().device().interface);
  return (to.address.needs_interface() && is_elsewhere) || (to.address.is_any() && is_odd(to.address));
}

// Linux takes the limited broadcast for one that only the default route leads to, unless an address names the way.
bool udp_socket::is_on_link(const path& way) const {
  if (!way.is_v4()) return true;
  return way.next_hop == way.destination && !(way.destination.is_limited_broadcast() && source_.is_any());
}

// The IP by which a datagram goes there: what has no address of IPv4, or isn't a socket of that, is IPv6's to refuse.
ip_family udp_socket::family_over(const ip_address& destination) const {
  return family_ == ip_family::v4 ? family_ : destination.family();
}

// From an address of one IP to one of the other; and to the any address from elsewhere than loopback, which is
// loopback's interface all the same.
bool udp_socket::is_odd(const ip_address& destination) const {
  const bool has_none = source_.is_any() && !source_.is_v4();
  const bool is_mixed = family_ == ip_family::v6 && !has_none && source_.is_v4() != destination.is_v4();
  return is_mixed || (destination.is_any() && !source_.is_any() && !source_.is_loopback());
}

// Linux says so when there is a way.
error udp_socket::refuse_other_ip(const ip_address& destination, time_point now) {
  const auto way = path_to(destination, ip_address::any(family_), now);
  return way ? error{EAFNOSUPPORT} : way.failure();
}

// The any address is this host, by the IP that the socket has an address of.
endpoint_address udp_socket::destination_of(endpoint_address to) const {
  if (to.address.is_any() && is_of_the_other_ip(to.address)) to.address = ipv4_address{{127, 0, 0, 1}};
  return to;
}

// In the order of Linux's checks, which isn't the same for both families of sockets.
status udp_socket::check_destination(std::size_t size, const endpoint_address* to, bool is_out_of_band) const {
  if (family_ == ip_family::v6 && to == nullptr && !entry_.connected) return error{EDESTADDRREQ};
  const ip_address& address = to != nullptr ? to->address : entry_.remote.address;
  if (family_ == ip_family::v6 && !check_family(address)) return error{ENETUNREACH};
  // IPv6 finds that out when it knows the path, and tells the error queue.
  const bool is_v4 = family_ == ip_family::v4 || address.is_v4();
  if (is_v4 && size > longest_ip_datagram) return error{EMSGSIZE};
  if (is_v4 && is_out_of_band) return error{EOPNOTSUPP};
  if (to == nullptr && !entry_.connected) return error{EDESTADDRREQ};
  if (to != nullptr && !check_family(address)) return error{EAFNOSUPPORT};
  // A peer may be connected to at port 0; but a mapped one is named anew for each datagram.
  const bool is_named = to != nullptr || (family_ == ip_family::v6 && is_v4);
  return is_named && (to != nullptr ? to->port : entry_.remote.port) == 0 ? error{EINVAL} : status{};
}

}  // namespace fastudp
