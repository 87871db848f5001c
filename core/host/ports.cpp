#include "host/ports.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>

#include "host/netlink.h"

namespace fastudp {
namespace {

// Where a socket is bound, as the kernel's own structures say it: an IPv4 address in the first word.
struct place {
  int family = AF_UNSPEC;
  std::uint16_t port = 0;  // in network order
  std::array<std::uint32_t, 4> address{};

  bool is_any() const { return address == std::array<std::uint32_t, 4>{}; }
  bool is_mapped() const {
    return family == AF_INET6 && address[0] == 0 && address[1] == 0 && address[2] == htonl(0xffff);
  }
  std::uint32_t v4() const { return family == AF_INET ? address[0] : address[3]; }
};

// What Linux lets share a port only on request. Whether IPV6_V6ONLY keeps two apart isn't asked.
bool overlap(const place& a, const place& b) {
  const bool a_is_v4 = a.family == AF_INET || a.is_mapped(), b_is_v4 = b.family == AF_INET || b.is_mapped();
  if (a_is_v4 && b_is_v4) return a.v4() == b.v4() || a.v4() == 0 || b.v4() == 0;
  if (!a_is_v4 && !b_is_v4) return a.address == b.address || a.is_any() || b.is_any();
  return a_is_v4 ? b.is_any() : a.is_any();
}

place place_of(int socket) {
  place out;
  sockaddr_in6 at{};
  socklen_t size = sizeof at;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&at), &size) != 0) return out;
  out.family = at.sin6_family;
  out.port = at.sin6_port;
  if (out.family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &at, sizeof v4);
    out.address[0] = v4.sin_addr.s_addr;
  } else {
    std::memcpy(out.address.data(), &at.sin6_addr, sizeof out.address);
  }
  return out;
}

// Another socket on the same port, by what the kernel says of one.
bool is_rival(const netlink::message& one, const place& own, const own_sockets& ours) {
  const auto found = one.fixed<inet_diag_msg>();
  std::uint64_t its_cookie;
  std::memcpy(&its_cookie, found.id.idiag_cookie, sizeof its_cookie);
  if (one.body.size() < sizeof found || found.id.idiag_sport != own.port || ours.has(its_cookie)) return false;
  place its{.family = found.idiag_family, .port = own.port};
  std::memcpy(its.address.data(), found.id.idiag_src, sizeof its.address);
  return overlap(its, own);
}

// Also true when nobody can tell.
bool has_rival(const place& own, int family, const own_sockets& ours) {
  inet_diag_req_v2 wanted{};
  wanted.sdiag_family = static_cast<std::uint8_t>(family);
  wanted.sdiag_protocol = IPPROTO_UDP;
  wanted.idiag_states = ~std::uint32_t{0};
  wanted.id.idiag_sport = own.port;
  const auto questions = netlink::open(NETLINK_SOCK_DIAG, 0);
  if (!questions) return true;
  constexpr std::uint32_t sequence = 1;
  const auto asked = netlink::request(questions->number(), SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sequence,
                                      std::as_bytes(std::span(&wanted, 1)));
  if (!asked) return true;
  for (;;) {
    alignas(nlmsghdr) std::byte buffer[16'384];
    const ssize_t got = ::recv(questions->number(), buffer, sizeof buffer, 0);
    if (got <= 0) return true;
    std::span<const std::byte> rest(buffer, static_cast<std::size_t>(got));
    netlink::message one;
    while (netlink::next(rest, one)) {
      if (one.type == NLMSG_DONE) return false;
      if (one.type == NLMSG_ERROR) return one.fixed<nlmsgerr>().error != -ENOENT;  // a kernel without the family
      if (is_rival(one, own, ours)) return true;
    }
  }
}

}  // namespace

std::uint64_t cookie_of(int socket) {
  std::uint64_t out = 0;
  socklen_t size = sizeof out;
  return ::getsockopt(socket, SOL_SOCKET, SO_COOKIE, &out, &size) == 0 ? out : 0;
}

bool shares_port(int socket, const own_sockets& ours) {
  const place own = place_of(socket);
  return own.family == AF_UNSPEC || has_rival(own, AF_INET, ours) || has_rival(own, AF_INET6, ours);
}

}  // namespace fastudp
