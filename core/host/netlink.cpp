#include "host/netlink.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

namespace fastudp::netlink {

bool next(std::span<const std::byte>& rest, message& out) {
  nlmsghdr header;
  if (rest.size() < sizeof header) return false;
  std::memcpy(&header, rest.data(), sizeof header);
  if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest.size()) return false;
  out.type = header.nlmsg_type;
  out.flags = header.nlmsg_flags;
  out.sequence = header.nlmsg_seq;
  out.body = rest.subspan(sizeof header, header.nlmsg_len - sizeof header);
  rest = rest.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
  return true;
}

std::span<const std::byte> attribute(std::span<const std::byte> attributes, std::uint16_t type) {
  nlattr header;
  while (attributes.size() >= sizeof header) {
    std::memcpy(&header, attributes.data(), sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > attributes.size()) return {};
    if ((header.nla_type & NLA_TYPE_MASK) == type)
      return attributes.subspan(sizeof header, header.nla_len - sizeof header);
    attributes = attributes.subspan(std::min<std::size_t>(NLA_ALIGN(header.nla_len), attributes.size()));
  }
  return {};
}

result<descriptor> open(int family, std::uint32_t groups) {
  descriptor out(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, family));
  if (!out) return error{errno};
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  self.nl_groups = groups;
  if (::bind(out.number(), reinterpret_cast<const sockaddr*>(&self), sizeof self) != 0) return error{errno};
  return out;
}

status request(int socket, std::uint16_t type, std::uint16_t flags, std::uint32_t sequence,
               std::span<const std::byte> body) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + body.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  header.nlmsg_seq = sequence;
  iovec parts[] = {{&header, sizeof header}, {const_cast<std::byte*>(body.data()), body.size()}};
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  msghdr whole{};
  whole.msg_name = &kernel;
  whole.msg_namelen = sizeof kernel;
  whole.msg_iov = parts;
  whole.msg_iovlen = 2;
  return ::sendmsg(socket, &whole, 0) < 0 ? status(error{errno}) : status{};
}

}  // namespace fastudp::netlink
