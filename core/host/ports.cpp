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

bool overlap(std::uint32_t a, std::uint32_t b) { return a == b || a == 0 || b == 0; }

// Another socket on the same port, by what the kernel says of one.
bool is_rival(const netlink::message& one, const sockaddr_in& place, const own_sockets& ours) {
  const auto found = one.fixed<inet_diag_msg>();
  std::uint64_t its_cookie;
  std::memcpy(&its_cookie, found.id.idiag_cookie, sizeof its_cookie);
  return one.body.size() >= sizeof found && found.id.idiag_sport == place.sin_port && !ours.has(its_cookie) &&
         overlap(found.id.idiag_src[0], place.sin_addr.s_addr);
}

}  // namespace

std::uint64_t cookie_of(int socket) {
  std::uint64_t out = 0;
  socklen_t size = sizeof out;
  return ::getsockopt(socket, SOL_SOCKET, SO_COOKIE, &out, &size) == 0 ? out : 0;
}

bool shares_port(int socket, const own_sockets& ours) {
  sockaddr_in place{};
  socklen_t size = sizeof place;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&place), &size) != 0) return true;
  inet_diag_req_v2 wanted{};
  wanted.sdiag_family = AF_INET;
  wanted.sdiag_protocol = IPPROTO_UDP;
  wanted.idiag_states = ~std::uint32_t{0};
  wanted.id.idiag_sport = place.sin_port;
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
      if (one.type == NLMSG_ERROR || is_rival(one, place, ours)) return true;
    }
  }
}

}  // namespace fastudp
