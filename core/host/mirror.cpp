#include "host/mirror.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <optional>
#include <tuple>

namespace fastudp {
namespace {

using netlink::attribute;
using netlink::message;
using netlink::value_of;

constexpr std::uint32_t group(int number) { return 1u << (number - 1); }
constexpr std::uint32_t groups = group(RTNLGRP_LINK) | group(RTNLGRP_NEIGH) | group(RTNLGRP_IPV4_IFADDR) |
                                 group(RTNLGRP_IPV4_ROUTE) | group(RTNLGRP_IPV4_RULE) | group(RTNLGRP_IPV6_IFADDR) |
                                 group(RTNLGRP_IPV6_ROUTE) | group(RTNLGRP_IPV6_RULE);
constexpr unsigned char families[] = {AF_INET, AF_INET6};

std::optional<ip_address> address_in(std::span<const std::byte> attributes, std::uint16_t type) {
  const auto found = attribute(attributes, type);
  if (found.size() == sizeof(ipv4_address)) return value_of<ipv4_address>(attributes, type);
  if (found.size() == sizeof(ipv6_address)) return value_of<ipv6_address>(attributes, type);
  return std::nullopt;
}

ip_address any_of(unsigned char family) { return ip_address::any(family == AF_INET ? ip_family::v4 : ip_family::v6); }

// A route with what decides between two of the same prefix.
struct candidate {
  host_route way;
  std::uint32_t metric = 0;
};

bool comes_before(const candidate& a, const candidate& b) {
  const auto key = [](const candidate& c) {
    return std::tuple(c.way.destination.address.bytes, c.way.destination.length, c.metric);
  };
  return key(a) < key(b);
}

// Of IPv6's, those that were found to be nobody else's.
bool is_usable(const ifaddrmsg& header, std::span<const std::byte> attributes) {
  const auto flags = value_of<std::uint32_t>(attributes, IFA_FLAGS, header.ifa_flags);
  return (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0;
}

std::uint32_t table_of(const rtmsg& header, std::span<const std::byte> attributes) {
  return value_of<std::uint32_t>(attributes, RTA_TABLE, header.rtm_table);
}

candidate read_route(const rtmsg& header, std::span<const std::byte> attributes) {
  candidate out;
  out.way.destination = {address_in(attributes, RTA_DST).value_or(any_of(header.rtm_family)), header.rtm_dst_len};
  out.metric = value_of<std::uint32_t>(attributes, RTA_PRIORITY);
  const bool is_one_way = header.rtm_type == RTN_UNICAST && attribute(attributes, RTA_MULTIPATH).empty() &&
                          attribute(attributes, RTA_VIA).empty() && attribute(attributes, RTA_ENCAP).empty() &&
                          (header.rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0;
  if (!is_one_way) return out;
  out.way.interface = value_of<int>(attributes, RTA_OIF);
  out.way.gateway = address_in(attributes, RTA_GATEWAY).value_or(ip_address{});
  out.way.source = address_in(attributes, RTA_PREFSRC).value_or(ip_address{});
  out.way.mtu = value_of<std::uint32_t>(attribute(attributes, RTA_METRICS), RTAX_MTU);
  return out;
}

}  // namespace

result<std::unique_ptr<mirror>> mirror::open(int interface, mirror_events& events, reason& why) {
  std::unique_ptr<mirror> out(new (std::nothrow) mirror(interface, events));
  auto notifications = netlink::open(NETLINK_ROUTE, groups);
  auto questions = netlink::open(NETLINK_ROUTE, 0);
  if (!out || !notifications || !questions)
    return why.fail(notifications ? ENOMEM : notifications.code(), "no netlink socket");
  out->notifications_ = std::move(*notifications);
  out->questions_ = std::move(*questions);
  if (auto told = out->tell_interface(); !told)
    return why.fail(told.code(), "there is no interface number %d", interface);
  out->tell(everything);
  return out;
}

// Asks and visits all answers. The kernel answers within the call that asks or reads, so nothing is waited for.
template <typename Header, typename Visit>
status mirror::dump(std::uint16_t type, unsigned char family, const Visit& visit) {
  constexpr int most_tries = 3;  // a table that changes while it is told is told again
  for (int attempt = 0; attempt < most_tries; ++attempt) {
    std::array<std::byte, sizeof(Header)> body{std::byte{family}};
    const auto asked = netlink::request(questions_.number(), type, NLM_F_DUMP, ++sequence_, body);
    if (!asked) return asked;
    bool is_consistent = true;
    for (;;) {
      alignas(nlmsghdr) std::byte buffer[16'384];
      const ssize_t size = ::recv(questions_.number(), buffer, sizeof buffer, 0);
      if (size <= 0) return error{size < 0 ? errno : EIO};
      std::span<const std::byte> rest(buffer, static_cast<std::size_t>(size));
      message one;
      bool is_done = false;
      while (!is_done && netlink::next(rest, one)) {
        if (one.sequence != sequence_) continue;
        if ((one.flags & NLM_F_DUMP_INTR) != 0) is_consistent = false;
        is_done = one.type == NLMSG_DONE || one.type == NLMSG_ERROR;
        if (!is_done) visit(one);
      }
      if (is_done) break;
    }
    if (is_consistent) return {};
  }
  return error{EINTR};
}

void mirror::tell_addresses() {
  growing<mirror_events::address> all;
  for (const unsigned char family : families) {
    (void)dump<ifaddrmsg>(RTM_GETADDR, family, [&](const message& one) {
      const auto header = one.fixed<ifaddrmsg>();
      const auto attributes = one.attributes<ifaddrmsg>();
      if (one.type != RTM_NEWADDR || header.ifa_scope == RT_SCOPE_HOST || !is_usable(header, attributes)) return;
      // IFA_LOCAL is ours; on a point-to-point link IFA_ADDRESS is the other end's. IPv6 has mostly only that.
      auto local = address_in(attributes, IFA_LOCAL);
      if (!local && family == AF_INET6) local = address_in(attributes, IFA_ADDRESS);
      if (!local || local->is_loopback()) return;
      (void)all.add({{*local, header.ifa_prefixlen}, static_cast<int>(header.ifa_index)});
    });
  }
  events_.addresses_are(all.all());
}

bool mirror::has_only_default_rules(unsigned char family) {
  int defaults = 0, others = 0;
  (void)dump<fib_rule_hdr>(RTM_GETRULE, family, [&](const message& one) {
    if (one.type != RTM_NEWRULE) return;
    const auto header = one.fixed<fib_rule_hdr>();
    const auto priority = value_of<std::uint32_t>(one.attributes<fib_rule_hdr>(), FRA_PRIORITY);
    const auto table = value_of<std::uint32_t>(one.attributes<fib_rule_hdr>(), FRA_TABLE, header.table);
    const bool is_default = (priority == 0 && table == RT_TABLE_LOCAL) ||
                            (priority == 32766 && table == RT_TABLE_MAIN) ||
                            (priority == 32767 && table == RT_TABLE_DEFAULT);
    ++(is_default && header.src_len == 0 && header.dst_len == 0 ? defaults : others);
  });
  return defaults >= 2 && others == 0;
}

void mirror::tell_routes() {
  growing<host_route> best;
  for (const unsigned char family : families) add_routes(family, best);
  events_.routes_are(best.all());
}

// Nothing, where the table alone doesn't say where a datagram goes.
void mirror::add_routes(unsigned char family, growing<host_route>& best) {
  growing<candidate> found;
  bool plain = has_only_default_rules(family);
  (void)dump<rtmsg>(RTM_GETROUTE, family, [&](const message& one) {
    const auto header = one.fixed<rtmsg>();
    const auto attributes = one.attributes<rtmsg>();
    if (one.type != RTM_NEWROUTE || table_of(header, attributes) != RT_TABLE_MAIN) return;
    if ((header.rtm_flags & RTM_F_CLONED) != 0) return;
    const candidate read = read_route(header, attributes);
    // Every interface has a network of that name.
    if (read.way.destination.address.is_link_local() && read.way.interface != interface_) return;
    if (header.rtm_tos != 0 || header.rtm_src_len != 0) plain = false;
    if (!found.add(read)) plain = false;
  });
  if (!plain) return;
  std::sort(found.begin(), found.end(), comes_before);
  found.shrink(std::unique(found.begin(), found.end(), [](const candidate& a, const candidate& b) {
    return a.way.destination == b.way.destination;
  }));
  for (const candidate& each : found) (void)best.add(each.way);
}

void mirror::tell_neighbour(const message& one) {
  const auto header = one.fixed<ndmsg>();
  if ((header.ndm_family != AF_INET && header.ndm_family != AF_INET6) || header.ndm_ifindex != interface_) return;
  const auto attributes = one.attributes<ndmsg>();
  const auto address = address_in(attributes, NDA_DST);
  if (!address) return;
  // While it probes, Linux still sends to the address that it knows.
  constexpr int sure = NUD_REACHABLE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
  const bool is_sure = (header.ndm_state & sure) != 0;
  const bool is_known = one.type == RTM_NEWNEIGH && (is_sure || (header.ndm_state & NUD_STALE) != 0) &&
                        attribute(attributes, NDA_LLADDR).size() == sizeof(mac_address);
  const auto mac = value_of<mac_address>(attributes, NDA_LLADDR);
  events_.neighbour_is(*address, is_known ? &mac : nullptr, is_sure);
}

void mirror::tell_neighbours() {
  for (const unsigned char family : families) {
    (void)dump<ndmsg>(RTM_GETNEIGH, family, [&](const message& one) {
      if (one.type == RTM_NEWNEIGH) tell_neighbour(one);
    });
  }
}

void mirror::tell_interface(const message& one) {
  const auto header = one.fixed<ifinfomsg>();
  // A bridge tells in the same words that an interface has become a port of it, or is none any more.
  if (header.ifi_index != interface_ || header.ifi_family != AF_UNSPEC) return;
  const auto attributes = one.attributes<ifinfomsg>();
  host_interface state;
  state.mtu = value_of<std::uint32_t>(attributes, IFLA_MTU);
  state.is_gone = one.type == RTM_DELLINK;
  state.is_ethernet = header.ifi_type == ARPHRD_ETHER;
  state.is_up = one.type == RTM_NEWLINK && (header.ifi_flags & IFF_UP) != 0 && (header.ifi_flags & IFF_RUNNING) != 0;
  if (attribute(attributes, IFLA_ADDRESS).size() == sizeof state.mac)
    state.mac = value_of<mac_address>(attributes, IFLA_ADDRESS);
  found_ = true;
  events_.interface_is(state);
}

status mirror::tell_interface() {
  found_ = false;
  const auto asked = dump<ifinfomsg>(RTM_GETLINK, AF_UNSPEC, [&](const message& one) {
    if (one.type == RTM_NEWLINK) tell_interface(one);
  });
  return !asked ? asked : found_ ? status{} : error{ENODEV};
}

void mirror::tell(unsigned parts) {
  if ((parts & addresses) != 0) tell_addresses();
  if ((parts & routes) != 0) tell_routes();
  if ((parts & neighbours) != 0) tell_neighbours();
}

// Returns what has to be asked for.
unsigned mirror::hear(const message& one) {
  switch (one.type) {
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      tell_neighbour(one);
      return 0;
    case RTM_NEWLINK:
    case RTM_DELLINK:
      tell_interface(one);
      return routes;  // what goes by a link that is down goes elsewhere
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return addresses | routes;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return table_of(one.fixed<rtmsg>(), one.attributes<rtmsg>()) == RT_TABLE_MAIN ? routes : 0u;
    case RTM_NEWRULE:
    case RTM_DELRULE:
      return routes;
    default:
      return 0;
  }
}

void mirror::update() {
  unsigned parts = 0;
  for (;;) {
    alignas(nlmsghdr) std::byte buffer[16'384];
    const ssize_t size = ::recv(notifications_.number(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (size < 0 && errno == ENOBUFS) {
      parts |= everything;
      continue;
    }
    if (size <= 0) break;
    std::span<const std::byte> rest(buffer, static_cast<std::size_t>(size));
    message one;
    while (netlink::next(rest, one)) parts |= hear(one);
  }
  if (parts == everything) {
    events_.starts_over();
    host_interface gone;
    gone.is_gone = true;
    if (tell_interface().code() == ENODEV) events_.interface_is(gone);
  }
  if (parts != 0) tell(parts);
}

}  // namespace fastudp
