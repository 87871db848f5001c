#include "socket/group_options.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "socket/udp_layer.h"
#include "socket/udp_socket.h"

namespace fastudp {
namespace {

using octets = std::span<const std::byte>;

template <typename T>
std::optional<T> read(octets value) {
  if (value.size() < sizeof(T)) return std::nullopt;
  T out;
  std::memcpy(&out, value.data(), sizeof out);
  return out;
}

ip_address address_of(const in_addr& in) {
  ipv4_address out;
  std::memcpy(out.bytes.data(), &in, sizeof in);
  return out;
}

ip_address address_of(const in6_addr& in) {
  ipv6_address out;
  std::memcpy(out.bytes.data(), &in, sizeof in);
  return out;
}

ip_address address_in(const sockaddr_storage& in, int level) {
  if (level == IPPROTO_IP) return address_of(reinterpret_cast<const sockaddr_in&>(in).sin_addr);
  return address_of(reinterpret_cast<const sockaddr_in6&>(in).sin6_addr);
}

// Of the family that the option's level is for; none if it is of another.
std::optional<ip_address> address_of(const sockaddr_storage& in, int level) {
  if (in.ss_family != (level == IPPROTO_IP ? AF_INET : AF_INET6)) return std::nullopt;
  return address_in(in, level);
}

// Of a list of IPv6 Linux doesn't look at the families.
std::optional<ip_address> address_in_list(const sockaddr_storage& in, int level) {
  return level == IPPROTO_IP ? address_of(in, level) : address_in(in, level);
}

// ---- Which interface. A stack has one.

bool is_ours(udp_socket& s, std::uint32_t interface) {
  return interface == 0 || interface == static_cast<std::uint32_t>(s.layer().below().device().interface);
}

bool is_ours(udp_socket& s, const ip_address& address) {
  return address.is_any() || s.layer().below().addresses().contains(address);
}

// Another interface may be the host's.
error elsewhere(const udp_socket& s, int code) { return error{s.leans_on_kernel() ? left_to_kernel : code}; }

// ---- What is asked for

enum class verb { join, leave, join_source, leave_source, block, unblock };

struct request {
  ip_address group{}, source{};
  bool is_here = true;  // it is about this stack's interface
};

status change(udp_socket& s, verb what, const request& r, time_point now) {
  if (!r.group.is_multicast()) return error{what == verb::leave && r.group.is_v4() ? EADDRNOTAVAIL : EINVAL};
  if (!r.is_here) return elsewhere(s, what == verb::leave ? EADDRNOTAVAIL : ENODEV);
  memberships& all = s.groups();
  const auto apply = [&]() -> status {
    switch (what) {
      case verb::join:
        return all.join(r.group);
      case verb::leave:
        return all.leave(r.group);
      case verb::join_source:
        return all.join_source(r.group, r.source);
      case verb::leave_source:
        return all.remove_source(r.group, r.source, false);
      case verb::block:
        return all.add_source(r.group, r.source, true);
      default:
        return all.remove_source(r.group, r.source, true);
    }
  };
  if (auto done = apply(); !done) return done;
  const auto held = s.layer().listen(s, r.group, now);
  if (!held) (void)all.leave(r.group);
  return held;
}

// ip_mreq, or ip_mreqn.
result<request> read_v4(udp_socket& s, octets value) {
  const auto whole = read<ip_mreqn>(value);
  if (whole) {
    const bool named = whole->imr_ifindex != 0;
    return request{.group = address_of(whole->imr_multiaddr),
                   .is_here = named ? is_ours(s, static_cast<std::uint32_t>(whole->imr_ifindex))
                                    : is_ours(s, address_of(whole->imr_address))};
  }
  const auto plain = read<ip_mreq>(value);
  if (!plain) return error{EINVAL};
  return request{.group = address_of(plain->imr_multiaddr), .is_here = is_ours(s, address_of(plain->imr_interface))};
}

result<request> read_v4_source(udp_socket& s, octets value) {
  if (value.size() != sizeof(ip_mreq_source)) return error{EINVAL};
  const auto in = *read<ip_mreq_source>(value);
  return request{.group = address_of(in.imr_multiaddr),
                 .source = address_of(in.imr_sourceaddr),
                 .is_here = is_ours(s, address_of(in.imr_interface))};
}

result<request> read_v6(udp_socket& s, octets value) {
  const auto in = read<ipv6_mreq>(value);
  if (!in) return error{EINVAL};
  return request{.group = address_of(in->ipv6mr_multiaddr), .is_here = is_ours(s, in->ipv6mr_interface)};
}

result<request> read_any(udp_socket& s, int level, octets value) {
  const auto in = read<group_req>(value);
  if (!in) return error{EINVAL};
  const auto group = address_of(in->gr_group, level);
  if (!group) return error{level == IPPROTO_IP ? EINVAL : EADDRNOTAVAIL};
  return request{.group = *group, .is_here = is_ours(s, in->gr_interface)};
}

result<request> read_any_source(udp_socket& s, int level, octets value) {
  const auto in = read<group_source_req>(value);
  if (!in || (level == IPPROTO_IP && value.size() != sizeof *in)) return error{EINVAL};
  const auto group = address_of(in->gsr_group, level), source = address_of(in->gsr_source, level);
  if (!group || !source) return error{EADDRNOTAVAIL};
  return request{.group = *group, .source = *source, .is_here = is_ours(s, in->gsr_interface)};
}

// ---- Whole lists

// What ip_msfilter and group_filter begin with, and where their sources stand.
struct list_layout {
  std::size_t begin, each;  // of the sources
  ip_address group;
  bool is_here;
  std::uint32_t mode, count;
  bool is_of_level = true;  // the group is an address of the family that the option's level is for
};

std::optional<list_layout> layout_of(udp_socket& s, int level, int name, octets value) {
  if (level == IPPROTO_IP && name == IP_MSFILTER) {
    ip_msfilter head{};
    if (value.size() < IP_MSFILTER_SIZE(0)) return std::nullopt;
    std::memcpy(&head, value.data(), IP_MSFILTER_SIZE(0));
    return list_layout{.begin = IP_MSFILTER_SIZE(0),
                       .each = sizeof(in_addr),
                       .group = address_of(head.imsf_multiaddr),
                       .is_here = is_ours(s, address_of(head.imsf_interface)),
                       .mode = head.imsf_fmode,
                       .count = head.imsf_numsrc};
  }
  group_filter head{};
  if (value.size() < GROUP_FILTER_SIZE(0)) return std::nullopt;
  std::memcpy(&head, value.data(), GROUP_FILTER_SIZE(0));
  const auto group = address_in_list(head.gf_group, level);
  const bool is_of_level = address_of(head.gf_group, level).has_value();
  return list_layout{.begin = GROUP_FILTER_SIZE(0),
                     .each = sizeof(sockaddr_storage),
                     .group = group ? *group : ip_address(),
                     .is_here = is_ours(s, head.gf_interface),
                     .mode = head.gf_fmode,
                     .count = head.gf_numsrc,
                     .is_of_level = is_of_level};
}

std::optional<ip_address> source_at(const list_layout& list, int level, octets value, std::size_t i) {
  const octets at = value.subspan(list.begin + i * list.each);
  if (list.each == sizeof(in_addr)) return address_of(*read<in_addr>(at));
  return address_in_list(*read<sockaddr_storage>(at), level);
}

status set_list(udp_socket& s, int level, int name, octets value, time_point now) {
  const auto list = layout_of(s, level, name, value);
  if (!list) return error{EINVAL};
  if (list->count > source_list::capacity) return error{ENOBUFS};
  if (value.size() < list->begin + list->count * list->each) return error{EINVAL};
  source_filter wanted{.excludes = list->mode == MCAST_EXCLUDE};
  if (!list->is_of_level && level == IPPROTO_IP) return error{EADDRNOTAVAIL};
  for (std::size_t i = 0; i < list->count; ++i) {
    const auto source = source_at(*list, level, value, i);
    if (!source) return error{EADDRNOTAVAIL};
    wanted.sources.add(*source);
  }
  if (!list->group.is_multicast()) return error{EINVAL};
  if (list->mode != MCAST_INCLUDE && list->mode != MCAST_EXCLUDE) return error{EINVAL};
  if (!list->is_here) return elsewhere(s, ENODEV);
  if (auto set = s.groups().set(list->group, wanted); !set) return set;
  return s.layer().listen(s, list->group, now);
}

void write_source(const ip_address& source, int level, std::size_t each, std::byte* to) {
  if (each == sizeof(in_addr)) return void(std::memcpy(to, source.bytes.data() + 12, sizeof(in_addr)));
  sockaddr_storage out{};
  if (level == IPPROTO_IP) {
    out.ss_family = AF_INET;
    std::memcpy(&reinterpret_cast<sockaddr_in&>(out).sin_addr, source.bytes.data() + 12, sizeof(in_addr));
  } else {
    out.ss_family = AF_INET6;
    std::memcpy(&reinterpret_cast<sockaddr_in6&>(out).sin6_addr, source.bytes.data(), sizeof(in6_addr));
  }
  std::memcpy(to, &out, sizeof out);
}

// As many sources as the caller has said that there is room for; the number is that of all.
result<std::size_t> get_list(udp_socket& s, int level, int name, std::span<std::byte> value) {
  const auto list = layout_of(s, level, name, value);
  if (list && !list->is_of_level && level == IPPROTO_IPV6) return error{EADDRNOTAVAIL};
  if (!list || !list->group.is_multicast()) return error{EINVAL};
  if (!list->is_here) return elsewhere(s, ENODEV);
  const source_filter* filter = s.groups().find(list->group);
  if (filter == nullptr) return error{EADDRNOTAVAIL};
  const std::size_t room = std::min<std::size_t>(list->count, (value.size() - list->begin) / list->each);
  const std::size_t written = std::min(room, filter->sources.size());
  const std::uint32_t facts[] = {filter->excludes ? std::uint32_t{MCAST_EXCLUDE} : std::uint32_t{MCAST_INCLUDE},
                                 static_cast<std::uint32_t>(filter->sources.size())};
  std::memcpy(value.data() + list->begin - sizeof facts, facts, sizeof facts);
  for (std::size_t i = 0; i < written; ++i) {
    write_source(filter->sources.all()[i], level, list->each, value.data() + list->begin + i * list->each);
  }
  return list->begin + written * list->each;
}

// ---- Where to send to groups

status set_interface_v4(udp_socket& s, octets value) {
  ip_mreqn in{};
  if (value.size() >= sizeof(ip_mreqn)) {
    in = *read<ip_mreqn>(value);
  } else if (value.size() >= sizeof(ip_mreq)) {
    in.imr_address = read<ip_mreq>(value)->imr_interface;
  } else if (value.size() >= sizeof(in_addr)) {
    in.imr_address = *read<in_addr>(value);
  } else {
    return error{EINVAL};
  }
  const ip_address from = address_of(in.imr_address);
  const bool is_here = in.imr_ifindex != 0 ? is_ours(s, static_cast<std::uint32_t>(in.imr_ifindex)) : is_ours(s, from);
  if (!is_here) return elsewhere(s, EADDRNOTAVAIL);
  s.settings().multicast_source = from;
  return {};
}

status set_interface_v6(udp_socket& s, octets value) {
  const auto interface = read<int>(value);
  if (!interface) return error{EINVAL};
  if (!is_ours(s, static_cast<std::uint32_t>(*interface))) return elsewhere(s, ENODEV);
  s.settings().v6.multicast_interface = *interface;
  return {};
}

template <typename T>
std::size_t copy_out(const T& from, std::span<std::byte> to) {
  const std::size_t written = std::min(sizeof from, to.size());
  std::memcpy(to.data(), &from, written);
  return written;
}

// ---- The options by number

result<request> read_request(udp_socket& s, int level, int name, octets value) {
  switch (name) {
    case MCAST_JOIN_GROUP:
    case MCAST_LEAVE_GROUP:
      return read_any(s, level, value);
    case MCAST_JOIN_SOURCE_GROUP:
    case MCAST_LEAVE_SOURCE_GROUP:
    case MCAST_BLOCK_SOURCE:
    case MCAST_UNBLOCK_SOURCE:
      return read_any_source(s, level, value);
    default:
      break;
  }
  if (level == IPPROTO_IPV6) return read_v6(s, value);
  return name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP ? read_v4(s, value) : read_v4_source(s, value);
}

struct verb_row {
  int level, name;
  verb what;
};
constexpr verb_row verbs[] = {
    {IPPROTO_IP, IP_ADD_MEMBERSHIP, verb::join},
    {IPPROTO_IP, IP_DROP_MEMBERSHIP, verb::leave},
    {IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, verb::join_source},
    {IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, verb::leave_source},
    {IPPROTO_IP, IP_BLOCK_SOURCE, verb::block},
    {IPPROTO_IP, IP_UNBLOCK_SOURCE, verb::unblock},
    {IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, verb::join},
    {IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, verb::leave},
};
constexpr verb_row verbs_of_both[] = {
    {0, MCAST_JOIN_GROUP, verb::join},
    {0, MCAST_LEAVE_GROUP, verb::leave},
    {0, MCAST_JOIN_SOURCE_GROUP, verb::join_source},
    {0, MCAST_LEAVE_SOURCE_GROUP, verb::leave_source},
    {0, MCAST_BLOCK_SOURCE, verb::block},
    {0, MCAST_UNBLOCK_SOURCE, verb::unblock},
};

const verb_row* find_verb(int level, int name) {
  const auto* of_one =
      std::ranges::find_if(verbs, [&](const verb_row& r) { return r.level == level && r.name == name; });
  if (of_one != std::end(verbs)) return of_one;
  const auto* of_both = std::ranges::find_if(verbs_of_both, [&](const verb_row& r) { return r.name == name; });
  return of_both != std::end(verbs_of_both) ? of_both : nullptr;
}

bool is_list(int level, int name) { return name == MCAST_MSFILTER || (level == IPPROTO_IP && name == IP_MSFILTER); }

bool is_interface(int level, int name) { return name == (level == IPPROTO_IP ? IP_MULTICAST_IF : IPV6_MULTICAST_IF); }

}  // namespace

bool is_group_option(int level, int name) {
  if (level != IPPROTO_IP && level != IPPROTO_IPV6) return false;
  return is_list(level, name) || is_interface(level, name) || find_verb(level, name) != nullptr;
}

status set_group_option(udp_socket& s, int level, int name, octets value, time_point now) {
  if (is_interface(level, name)) return level == IPPROTO_IP ? set_interface_v4(s, value) : set_interface_v6(s, value);
  if (is_list(level, name)) return set_list(s, level, name, value, now);
  const auto wanted = read_request(s, level, name, value);
  if (!wanted) return wanted.failure();
  return change(s, find_verb(level, name)->what, *wanted, now);
}

result<std::size_t> get_group_option(udp_socket& s, int level, int name, std::span<std::byte> value) {
  if (is_list(level, name)) return get_list(s, level, name, value);
  if (!is_interface(level, name)) return error{ENOPROTOOPT};
  if (level == IPPROTO_IP) return copy_out(s.settings().multicast_source.ipv4(), value);
  return copy_out(s.settings().v6.multicast_interface, value);
}

}  // namespace fastudp
