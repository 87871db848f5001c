// On an address of our own: what the companion can't know, since no kernel has the address.

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "endpoint/endpoint.h"
#include "socket/options.h"

namespace fastudp {

// Of an address of our own the kernel doesn't know who has become narrower by connecting: the port is held once.
bool endpoint::is_held_by_ours(const endpoint_address& where) const {
  if (where.port == 0 || where.address.is_any()) return false;
  for (const endpoint* each = engine_.first_endpoint(); each != nullptr; each = each->next) {
    if (each != this && each->is_fast() && each->socket_.local().port == where.port) return true;
  }
  return false;
}

// The companion, which has no place, is asked for IPV6_V6ONLY all the same.
status endpoint::bind_here_alone(const endpoint_address& where) {
  const auto bound = socket_.bind(where);
  const int only = socket_.entry().v6_only ? 1 : 0;
  if (bound && family() == ip_family::v6)
    return kernel_->socket().set_option(IPPROTO_IPV6, IPV6_V6ONLY, std::as_bytes(std::span(&only, 1)));
  return bound;
}

// Linux: a peer with a link-local address is one on some interface.
bool endpoint::names_interface(const endpoint_address& peer) const {
  if (peer.scope != 0 || !peer.address.needs_interface()) return true;
  if (peer.address.is_link_local_group() && socket_.settings().v6.multicast_interface != 0) return true;
  std::int32_t device = 0;
  (void)kernel_->socket().get_option(SOL_SOCKET, SO_BINDTOIFINDEX, std::as_writable_bytes(std::span(&device, 1)));
  return device != 0;
}

// Groups of an interface that is shared are the kernel's. On an address of our own they are the stack's, and not the
// companion's as well, which would hear each datagram once more; but other interfaces are the kernel's.
status endpoint::set_group_option(engine::turn& t, int level, int name, std::span<const std::byte> value) {
  if (engine_.with_host() != sharing::none) return kernel_->socket().set_option(level, name, value);
  const auto here = fastudp::set_option(socket_, level, name, value, t.now());
  return here.code() == left_to_kernel ? kernel_->socket().set_option(level, name, value) : here;
}

// As much of it as is asked for.
result<std::size_t> endpoint::get_peer_name(std::span<std::byte> value) {
  if (!socket_.is_connected() || socket_.peer().port == 0) return error{ENOTCONN};
  return companion::write_name(socket_.peer(), family(), value);
}

// As ip6_mtuinfo, in which Linux leaves the address out.
result<std::size_t> endpoint::get_path_mtu(engine::turn& t, std::span<std::byte> value) {
  ip6_mtuinfo out{};
  if (family() == ip_family::v4) return error{ENOPROTOOPT};
  if (value.size() < sizeof out) return error{EINVAL};
  const auto mtu = socket_.path_mtu(t.now());
  if (!mtu) return error{ENOTCONN};
  out.ip6m_mtu = *mtu;
  std::memcpy(value.data(), &out, sizeof out);
  return sizeof out;
}

}  // namespace fastudp
