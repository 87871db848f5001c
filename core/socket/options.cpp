#include "socket/options.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "socket/group_options.h"
#include "socket/timestamps.h"
#include "socket/udp_layer.h"
#include "socket/udp_socket.h"

namespace fastudp {
namespace {

constexpr int receive_original_v6 = 74;  // IPV6_RECVORIGDSTADDR, which libc's headers lack
constexpr int receive_mark_option = 75;  // SO_RCVMARK, which older headers lack
constexpr int smallest_receive_buffer = 2304, smallest_send_buffer = 4608;

// Values are integers, but for the timeouts.
using integer_setter = status (*)(udp_socket&, int);
using integer_getter = result<int> (*)(udp_socket&, time_point);

struct option_row {
  int level, name;
  integer_getter get;
  integer_setter set = nullptr;                  // null: can't be set
  duration socket_settings::*timeout = nullptr;  // a timeval instead of an integer
};

// A flag of the settings, as both of its functions.
template <bool socket_settings::*Flag>
constexpr option_row flag(int level, int name) {
  return {level, name, [](udp_socket& s, time_point) -> result<int> { return s.settings().*Flag; },
          [](udp_socket& s, int value) -> status {
            s.settings().*Flag = value != 0;
            return {};
          }};
}

template <bool socket_settings::ipv6::*Flag>
constexpr option_row flag_v6(int name) {
  return {IPPROTO_IPV6, name, [](udp_socket& s, time_point) -> result<int> { return s.settings().v6.*Flag; },
          [](udp_socket& s, int value) -> status {
            s.settings().v6.*Flag = value != 0;
            return {};
          }};
}

status set_hops(int& hops, int value, int by_default) {
  if (value < -1 || value > 255) return error{EINVAL};
  hops = value == -1 ? by_default : value;
  return {};
}

// Nothing but 0 and 1.
status set_bit(bool& bit, int value) {
  if (value != 0 && value != 1) return error{EINVAL};
  bit = value != 0;
  return {};
}

template <bool port_entry::*Flag>
constexpr option_row port_flag(int name) {
  return {SOL_SOCKET, name, [](udp_socket& s, time_point) -> result<int> { return s.entry().*Flag; },
          [](udp_socket& s, int value) -> status {
            s.entry().*Flag = value != 0;
            return {};
          }};
}

template <int Value>
constexpr option_row constant(int name) {
  return {SOL_SOCKET, name, [](udp_socket&, time_point) -> result<int> { return Value; }};
}

// Linux doubles the number, for its own bookkeeping, and so do we, as we charge like it.
std::uint32_t buffer_size(int wanted, std::uint32_t most, int least) {
  const std::uint32_t granted = std::min(static_cast<std::uint32_t>(wanted), std::min(most, INT32_MAX / 2u));
  return std::max(granted * 2, static_cast<std::uint32_t>(least));
}

constexpr option_row options[] = {
    constant<SOCK_DGRAM>(SO_TYPE),
    {SOL_SOCKET, SO_DOMAIN,
     [](udp_socket& s, time_point) -> result<int> { return s.family() == ip_family::v4 ? AF_INET : AF_INET6; }},
    constant<IPPROTO_UDP>(SO_PROTOCOL),
    constant<0>(SO_ACCEPTCONN),
    {SOL_SOCKET, SO_ERROR, [](udp_socket& s, time_point) -> result<int> { return s.take_error(); }},
    {SOL_SOCKET, SO_RCVBUF,
     [](udp_socket& s, time_point) -> result<int> { return static_cast<int>(s.settings().receive_buffer); },
     [](udp_socket& s, int value) -> status {
       s.settings().receive_buffer = buffer_size(value, s.layer().limits().receive_max, smallest_receive_buffer);
       return {};
     }},
    {SOL_SOCKET, SO_SNDBUF,
     [](udp_socket& s, time_point) -> result<int> { return static_cast<int>(s.settings().send_buffer); },
     [](udp_socket& s, int value) -> status {
       s.settings().send_buffer = buffer_size(value, s.layer().limits().send_max, smallest_send_buffer);
       return {};
     }},
    // A datagram is ready whatever its size: Linux remembers the number, and so do we.
    {SOL_SOCKET, SO_RCVLOWAT, [](udp_socket& s, time_point) -> result<int> { return s.settings().receive_low_water; },
     [](udp_socket& s, int value) -> status {
       s.settings().receive_low_water = value < 0 ? INT32_MAX : std::max(value, 1);
       return {};
     }},
    constant<1>(SO_SNDLOWAT),
    {SOL_SOCKET, SO_RCVTIMEO_OLD, nullptr, nullptr, &socket_settings::receive_timeout},
    {SOL_SOCKET, SO_RCVTIMEO_NEW, nullptr, nullptr, &socket_settings::receive_timeout},
    {SOL_SOCKET, SO_SNDTIMEO_OLD, nullptr, nullptr, &socket_settings::send_timeout},
    {SOL_SOCKET, SO_SNDTIMEO_NEW, nullptr, nullptr, &socket_settings::send_timeout},
    port_flag<&port_entry::reuse_address>(SO_REUSEADDR),
    port_flag<&port_entry::reuse_port>(SO_REUSEPORT),
    flag<&socket_settings::broadcast>(SOL_SOCKET, SO_BROADCAST),
    {SOL_SOCKET, SO_ZEROCOPY, [](udp_socket& s, time_point) -> result<int> { return s.settings().zero_copy; },
     [](udp_socket& s, int value) -> status { return set_bit(s.settings().zero_copy, value); }},
    // Beyond what the administrator allows. Who may ask for it is the kernel's to say; on a link of one's own, oneself.
    {SOL_SOCKET, SO_RCVBUFFORCE, nullptr,
     [](udp_socket& s, int value) -> status {
       s.settings().receive_buffer = buffer_size(std::max(value, 0), INT32_MAX, smallest_receive_buffer);
       return {};
     }},
    {SOL_SOCKET, SO_SNDBUFFORCE, nullptr,
     [](udp_socket& s, int value) -> status {
       s.settings().send_buffer = buffer_size(std::max(value, 0), INT32_MAX, smallest_send_buffer);
       return {};
     }},
    flag<&socket_settings::receive_drops>(SOL_SOCKET, SO_RXQ_OVFL),
    flag<&socket_settings::receive_mark>(SOL_SOCKET, receive_mark_option),
    flag<&socket_settings::select_error_queue>(SOL_SOCKET, SO_SELECT_ERR_QUEUE),
    flag<&socket_settings::no_checksum>(SOL_SOCKET, SO_NO_CHECK),
    {SOL_SOCKET, SO_PEEK_OFF, [](udp_socket& s, time_point) -> result<int> { return s.settings().peek_offset; },
     [](udp_socket& s, int value) -> status {
       s.settings().peek_offset = value;
       return {};
     }},
    {IPPROTO_IP, IP_TTL,
     [](udp_socket& s, time_point) -> result<int> { return s.settings().ttl < 0 ? default_ttl : s.settings().ttl; },
     [](udp_socket& s, int value) -> status {
       if (value != -1 && (value < 1 || value > 255)) return error{EINVAL};
       s.settings().ttl = value;
       return {};
     }},
    {IPPROTO_IP, IP_MULTICAST_TTL, [](udp_socket& s, time_point) -> result<int> { return s.settings().multicast_ttl; },
     [](udp_socket& s, int value) -> status {
       if (value < -1 || value > 255) return error{EINVAL};
       s.settings().multicast_ttl = value == -1 ? 1 : value;
       return {};
     }},
    flag<&socket_settings::multicast_loop>(IPPROTO_IP, IP_MULTICAST_LOOP),
    {IPPROTO_IP, IP_MULTICAST_ALL, [](udp_socket& s, time_point) -> result<int> { return s.settings().multicast_all; },
     [](udp_socket& s, int value) -> status { return set_bit(s.settings().multicast_all, value); }},
    {IPPROTO_IP, IP_TOS, [](udp_socket& s, time_point) -> result<int> { return s.settings().tos; },
     [](udp_socket& s, int value) -> status {
       // Linux: another TOS brings its own priority, the same one changes nothing.
       const auto tos = static_cast<std::uint8_t>(value);
       if (tos != s.settings().tos) s.settings().priority = priority_of_tos(tos);
       s.settings().tos = tos;
       return {};
     }},
    // Behind IP_TOS, so that it is what remains when options are copied. Linux asks for CAP_NET_RAW above 6: whoever
    // has a link of his own has that much.
    {SOL_SOCKET, SO_PRIORITY, [](udp_socket& s, time_point) -> result<int> { return s.settings().priority; },
     [](udp_socket& s, int value) -> status {
       s.settings().priority = value;
       return {};
     }},
    {IPPROTO_IP, IP_MTU_DISCOVER, [](udp_socket& s, time_point) -> result<int> { return s.settings().mtu_discover; },
     [](udp_socket& s, int value) -> status {
       if (value < IP_PMTUDISC_DONT || value > IP_PMTUDISC_OMIT) return error{EINVAL};
       s.settings().mtu_discover = value;
       return {};
     }},
    {IPPROTO_IP, IP_MTU,
     [](udp_socket& s, time_point now) -> result<int> {
       const auto mtu = s.path_mtu(now);
       if (!mtu) return mtu.failure();
       return static_cast<int>(*mtu);
     }},
    {IPPROTO_IP, IP_RECVERR, [](udp_socket& s, time_point) -> result<int> { return s.settings().receive_errors; },
     [](udp_socket& s, int value) -> status {
       s.settings().receive_errors = value != 0;
       if (value == 0) s.errors().forget_errors();
       return {};
     }},
    flag<&socket_settings::receive_packet_info>(IPPROTO_IP, IP_PKTINFO),
    flag<&socket_settings::receive_ttl>(IPPROTO_IP, IP_RECVTTL),
    flag<&socket_settings::receive_tos>(IPPROTO_IP, IP_RECVTOS),
    flag<&socket_settings::receive_original>(IPPROTO_IP, IP_RECVORIGDSTADDR),

    {IPPROTO_UDP, UDP_SEGMENT, [](udp_socket& s, time_point) -> result<int> { return s.settings().segment; },
     [](udp_socket& s, int value) -> status {
       if (value < 0 || value > UINT16_MAX) return error{EINVAL};
       s.settings().segment = static_cast<std::uint16_t>(value);
       return {};
     }},
    // Whoever takes the cork out pushes what is held.
    flag<&socket_settings::corked>(IPPROTO_UDP, UDP_CORK),
    {IPPROTO_UDP, UDP_GRO, [](udp_socket& s, time_point) -> result<int> { return s.settings().receive_joined; },
     [](udp_socket& s, int value) -> status {
       s.receive_joined(value != 0);
       return {};
     }},

    {IPPROTO_IPV6, IPV6_V6ONLY, [](udp_socket& s, time_point) -> result<int> { return s.entry().v6_only; },
     [](udp_socket& s, int value) -> status { return s.set_v6_only(value != 0); }},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS,
     [](udp_socket& s, time_point) -> result<int> {
       return s.settings().v6.hops < 0 ? s.layer().below().out().hop_limit() : s.settings().v6.hops;
     },
     [](udp_socket& s, int value) -> status { return set_hops(s.settings().v6.hops, value, -1); }},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS,
     [](udp_socket& s, time_point) -> result<int> { return s.settings().v6.multicast_hops; },
     [](udp_socket& s, int value) -> status { return set_hops(s.settings().v6.multicast_hops, value, 1); }},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP,
     [](udp_socket& s, time_point) -> result<int> { return s.settings().v6.multicast_loop; },
     [](udp_socket& s, int value) -> status { return set_bit(s.settings().v6.multicast_loop, value); }},
    flag_v6<&socket_settings::ipv6::multicast_all>(IPV6_MULTICAST_ALL),
    {IPPROTO_IPV6, IPV6_TCLASS, [](udp_socket& s, time_point) -> result<int> { return s.settings().v6.traffic_class; },
     [](udp_socket& s, int value) -> status {
       if (value < -1 || value > 255) return error{EINVAL};
       s.settings().v6.traffic_class = static_cast<std::uint8_t>(value == -1 ? 0 : value);
       return {};
     }},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER,
     [](udp_socket& s, time_point) -> result<int> { return s.settings().v6.mtu_discover; },
     [](udp_socket& s, int value) -> status {
       if (value < IPV6_PMTUDISC_DONT || value > IPV6_PMTUDISC_OMIT) return error{EINVAL};
       s.settings().v6.mtu_discover = value;
       return {};
     }},
    {IPPROTO_IPV6, IPV6_MTU,
     [](udp_socket& s, time_point now) -> result<int> {
       const auto mtu = s.path_mtu(now);
       if (!mtu) return mtu.failure();
       return static_cast<int>(*mtu);
     }},
    {IPPROTO_IPV6, IPV6_RECVERR,
     [](udp_socket& s, time_point) -> result<int> { return s.settings().v6.receive_errors; },
     [](udp_socket& s, int value) -> status {
       s.settings().v6.receive_errors = value != 0;
       if (value == 0) s.errors().forget_errors();
       return {};
     }},
    flag_v6<&socket_settings::ipv6::dont_fragment>(IPV6_DONTFRAG),
    flag_v6<&socket_settings::ipv6::receive_packet_info>(IPV6_RECVPKTINFO),
    flag_v6<&socket_settings::ipv6::receive_hops>(IPV6_RECVHOPLIMIT),
    flag_v6<&socket_settings::ipv6::receive_traffic_class>(IPV6_RECVTCLASS),
    flag_v6<&socket_settings::ipv6::receive_packet_info_2292>(IPV6_2292PKTINFO),
    flag_v6<&socket_settings::ipv6::receive_hops_2292>(IPV6_2292HOPLIMIT),
    flag_v6<&socket_settings::ipv6::receive_original>(receive_original_v6),
};

const option_row* find(int level, int name) {
  const auto* row =
      std::ranges::find_if(options, [&](const option_row& r) { return r.level == level && r.name == name; });
  return row == std::end(options) ? nullptr : row;
}

// Linux takes a single byte for an IP option, and no byte for a 0.
int integer_of(std::span<const std::byte> value) {
  int out = 0;
  if (value.size() >= sizeof out) {
    std::memcpy(&out, value.data(), sizeof out);
  } else if (!value.empty()) {
    out = static_cast<int>(value[0]);
  }
  return out;
}

result<duration> timeout_of(std::span<const std::byte> value) {
  timeval given;
  if (value.size() < sizeof given) return error{EINVAL};
  std::memcpy(&given, value.data(), sizeof given);
  if (given.tv_usec < 0 || given.tv_usec >= 1'000'000) return error{EDOM};
  if (given.tv_sec < 0) return duration{0};
  if (given.tv_sec == 0 && given.tv_usec == 0) return never;
  if (given.tv_sec >= never / second) return never;
  return given.tv_sec * second + given.tv_usec * microsecond;
}

std::size_t copy_out(const void* from, std::size_t size, std::span<std::byte> to) {
  const std::size_t written = std::min(size, to.size());
  std::memcpy(to.data(), from, written);
  return written;
}

// An IP option that fits into a byte may be read as one.
std::size_t write_integer(int level, int value, std::span<std::byte> to) {
  if (level == IPPROTO_IP && !to.empty() && to.size() < sizeof value && value >= 0 && value <= 255) {
    to[0] = static_cast<std::byte>(value);
    return 1;
  }
  return copy_out(&value, sizeof value, to);
}

std::size_t write_timeout(duration timeout, std::span<std::byte> to) {
  timeval out{};
  if (timeout != never) out = {timeout / second, timeout % second / microsecond};
  return copy_out(&out, sizeof out, to);
}

}  // namespace

status set_option(udp_socket& socket, int level, int name, std::span<const std::byte> value, time_point now) {
  if (level == IPPROTO_IPV6 && socket.family() == ip_family::v4) return error{ENOPROTOOPT};
  // Options of sockets, of UDP and of IPv6 are whole integers at least, whether they are known or not.
  if ((level == SOL_SOCKET || level == IPPROTO_UDP || level == IPPROTO_IPV6) && value.size() < sizeof(int))
    return error{EINVAL};
  if (is_group_option(level, name)) return set_group_option(socket, level, name, value, now);
  if (is_stamp_option(level, name)) return set_stamp_option(socket, name, value);
  const option_row* row = find(level, name);
  if (row != nullptr && row->timeout != nullptr) {
    const auto timeout = timeout_of(value);
    if (!timeout) return timeout.failure();
    socket.settings().*row->timeout = *timeout;
    return {};
  }
  if (row == nullptr || row->set == nullptr) return error{ENOPROTOOPT};
  // 0 is a value of its own there.
  if (value.empty() && level == IPPROTO_IP &&
      (name == IP_MULTICAST_TTL || name == IP_MULTICAST_LOOP || name == IP_MULTICAST_ALL)) {
    return error{EINVAL};
  }
  return row->set(socket, integer_of(value));
}

result<std::size_t> get_option(udp_socket& socket, int level, int name, std::span<std::byte> value, time_point now) {
  if (level == IPPROTO_IPV6 && socket.family() == ip_family::v4) return error{ENOPROTOOPT};
  if (is_group_option(level, name)) return get_group_option(socket, level, name, value);
  if (is_stamp_option(level, name)) return get_stamp_option(socket, name, value);
  const option_row* row = find(level, name);
  if (row == nullptr || (row->get == nullptr && row->timeout == nullptr)) return error{ENOPROTOOPT};
  if (row->timeout != nullptr) return write_timeout(socket.settings().*row->timeout, value);
  if (row->get == nullptr) return error{ENOPROTOOPT};
  const auto number = row->get(socket, now);
  if (!number) return number.failure();
  return write_integer(level, *number, value);
}

void copy_options(udp_socket& socket, option_source& from, time_point now) {
  for (const option_row& row : options) {
    alignas(8) std::byte value[16];
    if (row.set == nullptr && row.timeout == nullptr) continue;
    const auto size = from.get_option(row.level, row.name, value);
    if (size) (void)set_option(socket, row.level, row.name, {value, *size}, now);
  }
  copy_stamp_options(socket, from);
  // As they are, not doubled once more and cut to the administrator's limit.
  for (auto [name, field] :
       {std::pair{SO_RCVBUF, &socket_settings::receive_buffer}, std::pair{SO_SNDBUF, &socket_settings::send_buffer}}) {
    std::uint32_t bytes = 0;
    if (from.get_option(SOL_SOCKET, name, std::as_writable_bytes(std::span(&bytes, 1))))
      socket.settings().*field = bytes;
  }
}

}  // namespace fastudp
