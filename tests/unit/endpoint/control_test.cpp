// Control messages: what a send takes and refuses, what a receive writes into how much room. The kernel is the oracle.

#include "endpoint/control.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/descriptor.h"
#include "socket/options.h"
#include "unit/endpoint/endpoint_support.h"

namespace fastudp {
namespace {

using test::ip;
using test::octets;

// A control message; `claimed` is what it says that its length is, -1: the truth.
std::string cmsg(int level, int type, std::string_view value, long claimed = -1) {
  const cmsghdr header{.cmsg_len = claimed < 0 ? CMSG_LEN(value.size()) : static_cast<std::size_t>(claimed),
                       .cmsg_level = level,
                       .cmsg_type = type};
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  out.append(value);
  out.resize(CMSG_SPACE(value.size()));
  return out;
}

template <typename T>
std::string raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

class kernel_socket {
 public:
  kernel_socket() {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(socket_.number(), reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
    socklen_t size = sizeof address_;
    ::getsockname(socket_.number(), reinterpret_cast<sockaddr*>(&address_), &size);
  }
  // To itself. Returns errno or 0.
  int send(std::string control) {
    iovec payload{control.data(), 1};
    msghdr m{};
    m.msg_name = &address_;
    m.msg_namelen = sizeof address_;
    m.msg_iov = &payload;
    m.msg_iovlen = control.empty() ? 0 : 1;
    m.msg_control = control.data();
    m.msg_controllen = control.size();
    return ::sendmsg(socket_.number(), &m, 0) < 0 ? errno : 0;
  }
  void set(int name) {
    const int on = 1;
    EXPECT_EQ(::setsockopt(socket_.number(), IPPROTO_IP, name, &on, sizeof on), 0);
  }
  struct received {
    std::string control;
    bool truncated;
  };
  received receive(std::size_t room) {
    std::string control(room, '\0');
    msghdr m{};
    m.msg_control = control.data();
    m.msg_controllen = room;
    EXPECT_EQ(::recvmsg(socket_.number(), &m, MSG_DONTWAIT), 0);
    return {control.substr(0, m.msg_controllen), (m.msg_flags & MSG_CTRUNC) != 0};
  }

 private:
  descriptor socket_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address_{};
};

TEST(control, is_taken_and_refused_as_by_the_kernel) {
  const in_pktinfo anywhere{};
  const std::string ttl = cmsg(IPPROTO_IP, IP_TTL, raw(9));
  const std::string rows[] = {
      "",
      ttl,
      cmsg(IPPROTO_IP, IP_TTL, raw(1)),
      cmsg(IPPROTO_IP, IP_TTL, raw(255)),
      cmsg(IPPROTO_IP, IP_TTL, raw(0)),
      cmsg(IPPROTO_IP, IP_TTL, raw(256)),
      cmsg(IPPROTO_IP, IP_TTL, raw(-1)),
      cmsg(IPPROTO_IP, IP_TTL, "\x09"),
      cmsg(IPPROTO_IP, IP_TTL, raw(9ll)),
      cmsg(IPPROTO_IP, IP_TOS, raw(0x10)),
      cmsg(IPPROTO_IP, IP_TOS, "\x10"),
      cmsg(IPPROTO_IP, IP_TOS, "\xff"),
      cmsg(IPPROTO_IP, IP_TOS, raw(0)),
      cmsg(IPPROTO_IP, IP_TOS, raw(255)),
      cmsg(IPPROTO_IP, IP_TOS, raw(256)),
      cmsg(IPPROTO_IP, IP_TOS, raw(-1)),
      cmsg(IPPROTO_IP, IP_TOS, "ab"),
      cmsg(IPPROTO_IP, IP_TOS, ""),
      cmsg(IPPROTO_IP, IP_PKTINFO, raw(anywhere)),
      cmsg(IPPROTO_IP, IP_PKTINFO, raw(anywhere).substr(1)),
      cmsg(IPPROTO_IP, IP_PKTINFO, raw(anywhere) + "x"),
      cmsg(IPPROTO_IP, IP_RECVTTL, raw(1)),
      cmsg(IPPROTO_IP, 9999, raw(1)),
      cmsg(SOL_SOCKET, 9999, raw(1)),
      cmsg(IPPROTO_UDP, 9999, raw(1)),
      cmsg(IPPROTO_UDP, UDP_SEGMENT, raw(std::uint16_t{9})),
      cmsg(IPPROTO_UDP, UDP_SEGMENT, raw(std::uint16_t{0})),
      cmsg(IPPROTO_UDP, UDP_SEGMENT, raw(9)),
      cmsg(IPPROTO_UDP, UDP_SEGMENT, "a"),
      cmsg(IPPROTO_UDP, UDP_SEGMENT, ""),
      cmsg(IPPROTO_UDP, UDP_GRO, raw(9)),
      ttl + cmsg(IPPROTO_UDP, UDP_SEGMENT, raw(std::uint16_t{9})),
      cmsg(IPPROTO_IPV6, 50, raw(1)),
      cmsg(IPPROTO_TCP, 1, raw(1)),
      cmsg(9999, 1, ""),
      ttl + cmsg(IPPROTO_IP, IP_TOS, raw(0x10)) + cmsg(IPPROTO_IP, IP_PKTINFO, raw(anywhere)),
      ttl + cmsg(IPPROTO_IP, IP_TOS, raw(256)),
      cmsg(9999, 1, "skipped") + cmsg(IPPROTO_IP, IP_TTL, raw(0)),
      cmsg(IPPROTO_IP, IP_TTL, raw(9), 0),
      cmsg(IPPROTO_IP, IP_TTL, raw(9), 15),
      cmsg(IPPROTO_IP, IP_TTL, raw(9), 16),
      cmsg(IPPROTO_IP, IP_TTL, raw(9), 25),
      cmsg(IPPROTO_IP, IP_TTL, raw(9), 1000),
      ttl.substr(0, 20),
      ttl.substr(0, 19),
      ttl.substr(0, 16),
      ttl.substr(0, 15),
      ttl.substr(0, 1),
      ttl + ttl.substr(0, 15),
      ttl + ttl.substr(0, 16),
  };
  kernel_socket kernel;
  for (const std::string& row : rows) {
    EXPECT_EQ(read_control(octets(row), ip_family::v4).refusal_over(ip_family::v4), kernel.send(row))
        << test::to_hex(row);
  }
}

TEST(control, what_was_chosen_can_be_said_again) {
  for (const ip_address& source : {ip("10.0.0.3"), ip("fd00::3")}) {
    const bool is_v4 = source.is_v4();
    send_choices chosen{.interface = 7, .segment = 0};
    chosen.leave_from(source);
    (is_v4 ? chosen.ttl : chosen.hops) = 9;
    (is_v4 ? chosen.tos : chosen.traffic_class) = 0xb8;
    alignas(cmsghdr) std::byte room[256];
    const auto again = read_control(write_control(chosen, source.family(), room), source.family());
    EXPECT_EQ(again.refusal, 0);
    EXPECT_EQ(again.source_over(source.family()), source);
    EXPECT_EQ(again.interface, 7);
    EXPECT_EQ(again.segment, 0);
    EXPECT_EQ(again.ttl, chosen.ttl);
    EXPECT_EQ(again.tos, chosen.tos);
    EXPECT_EQ(again.hops, chosen.hops);
    EXPECT_EQ(again.traffic_class, chosen.traffic_class);
    EXPECT_TRUE(write_control({}, source.family(), room).empty());
  }
}

TEST(control, size_of_joined_datagrams_is_found_among_others) {
  const std::string others = cmsg(IPPROTO_IP, IP_TTL, raw(9)), size = cmsg(IPPROTO_UDP, UDP_GRO, raw(300));
  EXPECT_EQ(joined_size(octets(std::string_view(others + size))), 300);
  EXPECT_EQ(joined_size(octets(std::string_view(size + others))), 300);
  EXPECT_EQ(joined_size(octets(std::string_view(others))), 0);
  EXPECT_EQ(joined_size({}), 0);
  EXPECT_EQ(joined_size(octets(std::string_view(size).substr(0, 17))), 0);
}

TEST(control, says_what_the_datagram_shall_have) {
  in_pktinfo info{};
  ::inet_pton(AF_INET, "10.0.0.3", &info.ipi_spec_dst);
  ::inet_pton(AF_INET, "10.0.0.4", &info.ipi_addr);
  const auto none = read_control({}, ip_family::v4);
  EXPECT_EQ(none.ttl, -1);
  EXPECT_EQ(none.tos, -1);
  EXPECT_TRUE(none.source.is_any());
  const std::string all = cmsg(IPPROTO_IP, IP_TTL, raw(9)) + cmsg(IPPROTO_IP, IP_TOS, "\xb8") +
                          cmsg(IPPROTO_IP, IP_PKTINFO, raw(info)) + cmsg(IPPROTO_IP, IP_TTL, raw(7));
  const auto read = read_control(octets(all), ip_family::v4);
  ASSERT_EQ(read.refusal, 0);
  EXPECT_EQ(read.ttl, 7) << "the last one counts";
  EXPECT_EQ(read.tos, 0xb8);
  EXPECT_TRUE(read.has_v4_source);
  EXPECT_EQ(read.source_v4, ip("10.0.0.3"));
}

// Its one difference: we have no interface numbers.
TEST(control, is_written_and_cut_as_by_the_kernel) {
  kernel_socket kernel;
  const auto host = test::open_engine(test::hub_name(), {.seed = 1, .hand_clock = true});
  test::open_endpoint ours(*host, test::at("127.0.0.1", 53));
  for (const int name : {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS}) {
    const int on = 1;
    kernel.set(name);
    ASSERT_TRUE(ours->set_option(IPPROTO_IP, name, octets(raw(on))));
  }
  for (std::size_t room = 0; room <= 96; ++room) {
    ASSERT_EQ(kernel.send(""), 0);
    ASSERT_TRUE(test::send(*ours, "", test::at("127.0.0.1", 53)));
    auto expected = kernel.receive(room);
    std::string control(room, '\0');
    message m;
    m.control = octets(control);
    ASSERT_EQ(*ours->receive({&m, 1}, message_flag::dont_wait), 1u);
    std::string written = test::text_of(m.control);
    constexpr std::size_t index_at = CMSG_LEN(0);
    for (std::string* each : {&written, &expected.control}) {
      if (each->size() > index_at) each->replace(index_at, std::min<std::size_t>(4, each->size() - index_at), "....");
    }
    EXPECT_EQ(test::to_hex(written), test::to_hex(expected.control)) << room;
    EXPECT_EQ((m.flags & message_flag::control_truncated) != 0, expected.truncated) << room;
  }
}

}  // namespace
}  // namespace fastudp
