// Every socket option: the same calls on a socket of the kernel and on one of ours give the same answers.

#include "socket/options.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "support/node.h"

namespace fastudp {
namespace {

using test::octets;

struct answer {
  int code = 0;       // errno
  std::string bytes;  // what a get wrote

  friend bool operator==(const answer&, const answer&) = default;
  friend std::ostream& operator<<(std::ostream& out, const answer& a) {
    return out << std::strerror(a.code) << " [" << test::to_hex(a.bytes) << ']';
  }
};

template <typename T>
std::string bytes_of_value(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::uint32_t sysctl(const std::string& name) {
  std::uint32_t value = 0;
  std::ifstream("/proc/sys/net/core/" + name) >> value;
  return value;
}

buffer_limits limits_of_the_kernel() {
  return {.receive_default = sysctl("rmem_default"),
          .receive_max = sysctl("rmem_max"),
          .send_default = sysctl("wmem_default"),
          .send_max = sysctl("wmem_max")};
}

struct option {
  int level, name;
  const char* text;
};

#define OPTION(level, name) \
  { level, name, #name }
constexpr option integers[] = {
    OPTION(SOL_SOCKET, SO_TYPE),       OPTION(SOL_SOCKET, SO_DOMAIN),       OPTION(SOL_SOCKET, SO_PROTOCOL),
    OPTION(SOL_SOCKET, SO_ACCEPTCONN), OPTION(SOL_SOCKET, SO_ERROR),        OPTION(SOL_SOCKET, SO_RCVBUF),
    OPTION(SOL_SOCKET, SO_SNDBUF),     OPTION(SOL_SOCKET, SO_REUSEADDR),    OPTION(SOL_SOCKET, SO_REUSEPORT),
    OPTION(SOL_SOCKET, SO_BROADCAST),  OPTION(IPPROTO_IP, IP_TTL),          OPTION(IPPROTO_IP, IP_MULTICAST_TTL),
    OPTION(IPPROTO_IP, IP_TOS),        OPTION(IPPROTO_IP, IP_MTU_DISCOVER), OPTION(IPPROTO_IP, IP_MTU),
    OPTION(IPPROTO_IP, IP_RECVERR),    OPTION(IPPROTO_IP, IP_PKTINFO),      OPTION(IPPROTO_IP, IP_RECVTTL),
    OPTION(IPPROTO_IP, IP_RECVTOS),    OPTION(SOL_SOCKET, SO_RCVLOWAT),     OPTION(SOL_SOCKET, SO_SNDLOWAT),
    OPTION(SOL_SOCKET, SO_ZEROCOPY),   OPTION(IPPROTO_UDP, UDP_SEGMENT),    OPTION(IPPROTO_UDP, UDP_GRO),
    OPTION(IPPROTO_UDP, UDP_CORK)};
constexpr option timeouts[] = {OPTION(SOL_SOCKET, SO_RCVTIMEO), OPTION(SOL_SOCKET, SO_SNDTIMEO)};
#undef OPTION

class options : public testing::Test {
 protected:
  static answer set_kernel(int fd, const option& o, const std::string& value) {
    const int outcome = ::setsockopt(fd, o.level, o.name, value.data(), static_cast<socklen_t>(value.size()));
    return {outcome == 0 ? 0 : errno, ""};
  }
  static answer get_kernel(int fd, const option& o, std::size_t room) {
    std::string value(room, '\xee');
    auto size = static_cast<socklen_t>(room);
    if (::getsockopt(fd, o.level, o.name, value.data(), &size) != 0) return {errno, ""};
    return {0, value.substr(0, size)};
  }
  static answer set_ours(udp_socket& s, const option& o, const std::string& value) {
    return {set_option(s, o.level, o.name, octets(std::string_view(value)), 0).code(), ""};
  }
  answer get_ours(udp_socket& s, const option& o, std::size_t room) {
    std::string value(room, '\xee');
    const auto size = get_option(s, o.level, o.name, octets(value), host_.now);
    if (!size) return {size.code(), ""};
    return {0, value.substr(0, *size)};
  }

  // Sets both, reads both.
  void expect_same(const option& o, const std::string& value) {
    const descriptor kernel(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    udp_socket& ours = host_.open();
    EXPECT_EQ(set_ours(ours, o, value), set_kernel(kernel.number(), o, value))
        << o.text << " = " << test::to_hex(value);
    EXPECT_EQ(get_ours(ours, o, 16), get_kernel(kernel.number(), o, 16)) << o.text << " after " << test::to_hex(value);
    host_.close(ours);
  }

  test::node host_{1, {.limits = limits_of_the_kernel()}};
};

TEST_F(options, have_the_kernels_defaults_in_any_room) {
  const descriptor kernel(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  udp_socket& ours = host_.open();
  for (const option& o : integers) {
    for (const std::size_t room : {0, 1, 2, 3, 4, 5, 8, 16}) {
      EXPECT_EQ(get_ours(ours, o, room), get_kernel(kernel.number(), o, room)) << o.text << " in " << room;
    }
  }
  for (const option& o : timeouts) {
    for (const std::size_t room : {0, 1, 8, 15, 16, 17}) {
      EXPECT_EQ(get_ours(ours, o, room), get_kernel(kernel.number(), o, room)) << o.text << " in " << room;
    }
  }
}

TEST_F(options, take_and_refuse_the_values_that_the_kernel_does) {
  for (const option& o : integers) {
    for (const int value : {INT_MIN, -256,    -2,      -1,      0,       1,       2,       3,           4,
                            5,       6,       7,       63,      64,      127,     128,     191,         255,
                            256,     257,     1023,    1024,    1151,    1152,    2303,    2304,        4608,
                            65'535,  100'000, 106'496, 212'991, 212'992, 212'993, 1 << 24, INT_MAX / 2, INT_MAX / 2 + 1,
                            INT_MAX}) {
      expect_same(o, bytes_of_value(value));
    }
  }
}

TEST_F(options, take_and_refuse_the_sizes_that_the_kernel_does) {
  for (const option& o : integers) {
    for (const std::size_t size : {0, 1, 2, 3, 5, 8, 16}) {
      expect_same(o, std::string(size, '\0'));
      expect_same(o, std::string(size, '\1'));
      if (size != 0) expect_same(o, '\xff' + std::string(size - 1, '\0'));
    }
  }
}

TEST_F(options, take_and_refuse_the_timeouts_that_the_kernel_does) {
  for (const option& o : timeouts) {
    for (const timeval value : {timeval{0, 0},
                                {1, 0},
                                {3, 500'000},
                                {0, 20'000},
                                {0, 999'999 / 20'000 * 20'000},
                                {0, 1'000'000},
                                {0, -1},
                                {5, -1},
                                {5, 1'000'000},
                                {-1, 0},
                                {-5, 20'000},
                                {-1, 1'000'000},
                                {86'400, 0},
                                {LONG_MAX, 0}}) {
      expect_same(o, bytes_of_value(value));
    }
    for (const std::size_t size : {0, 1, 4, 8, 15}) expect_same(o, std::string(size, '\0'));
    expect_same(o, bytes_of_value(timeval{1, 0}) + "more");
  }
}

TEST_F(options, unknown_ones_are_said_to_be_unknown) {
  udp_socket& ours = host_.open();
  for (const option& o :
       {option{SOL_SOCKET, 9999, ""}, {IPPROTO_IP, 9999, ""}, {IPPROTO_UDP, 9999, ""}, {9999, 1, ""}}) {
    EXPECT_EQ(set_ours(ours, o, bytes_of_value(1)).code, ENOPROTOOPT);
    EXPECT_EQ(get_ours(ours, o, 4).code, ENOPROTOOPT);
  }
}

TEST_F(options, a_refused_value_changes_nothing) {
  udp_socket& ours = host_.open();
  const option ttl{IPPROTO_IP, IP_TTL, "IP_TTL"};
  EXPECT_EQ(set_ours(ours, ttl, bytes_of_value(7)).code, 0);
  EXPECT_EQ(set_ours(ours, ttl, bytes_of_value(256)).code, EINVAL);
  EXPECT_EQ(get_ours(ours, ttl, 4).bytes, bytes_of_value(7));
}

TEST_F(options, the_default_buffers_are_the_hosts) {
  test::node other(
      2, {.limits = {.receive_default = 11'111, .receive_max = 20'000, .send_default = 22'222, .send_max = 30'000}});
  udp_socket& s = other.open();
  const option receive{SOL_SOCKET, SO_RCVBUF, ""}, send{SOL_SOCKET, SO_SNDBUF, ""};
  EXPECT_EQ(get_ours(s, receive, 4).bytes, bytes_of_value(11'111));
  EXPECT_EQ(get_ours(s, send, 4).bytes, bytes_of_value(22'222));
  EXPECT_EQ(set_ours(s, receive, bytes_of_value(1'000'000)).code, 0);
  EXPECT_EQ(get_ours(s, receive, 4).bytes, bytes_of_value(40'000));
  EXPECT_EQ(set_ours(s, send, bytes_of_value(1'000'000)).code, 0);
  EXPECT_EQ(get_ours(s, send, 4).bytes, bytes_of_value(60'000));
}

}  // namespace
}  // namespace fastudp
