// The list of options agrees with what the stack knows, and with what Linux has.

#include "socket/option_fate.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <utility>

#include "base/descriptor.h"
#include "socket/option_numbers.h"
#include "socket/options.h"
#include "support/node.h"

namespace fastudp {
namespace {

struct row {
  int level, name;
  option_fate fate;
  const char* text;
};
constexpr row rows[] = {
#define OPTION(level, name, fate, words) {level, name, option_fate::fate, #name},
#include "socket/options.def"
#undef OPTION
};

bool is_taken_by_linux(const row& r) {
  const descriptor kernel(::socket(r.level == IPPROTO_IPV6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int value = 1;
  return ::setsockopt(kernel.number(), r.level, r.name, &value, sizeof value) == 0;
}

bool is_known_to_us(udp_socket& s, const row& r, time_point now) {
  std::byte room[64] = {};
  const bool can_be_got = get_option(s, r.level, r.name, room, now).code() != ENOPROTOOPT;
  return can_be_got || set_option(s, r.level, r.name, std::span(room).first(4), now).code() != ENOPROTOOPT;
}

TEST(option_fate, is_told_once_of_each) {
  std::set<std::pair<int, int>> seen;
  for (const row& r : rows) EXPECT_TRUE(seen.emplace(r.level, r.name).second) << r.text;
}

TEST(option_fate, is_fast_exactly_where_the_stack_knows_the_option) {
  test::node host(1);
  udp_socket s(host.sockets, ip_family::v6);
  for (const row& r : rows) EXPECT_EQ(is_known_to_us(s, r, host.now), r.fate == option_fate::fast) << r.text;
}

TEST(option_fate, is_refused_only_where_linux_refuses) {
  for (const row& r : rows) {
    if (r.fate == option_fate::refused) {
      EXPECT_FALSE(is_taken_by_linux(r)) << r.text;
    }
  }
}

TEST(option_fate, of_an_unknown_option_is_the_kernels) {
  EXPECT_EQ(fate_of(SOL_SOCKET, 4711), option_fate::kernel);
  EXPECT_EQ(fate_of(SOL_SOCKET, SO_RCVBUF), option_fate::fast);
  EXPECT_EQ(fate_of(IPPROTO_IPV6, IPV6_PKTINFO), option_fate::kernel);
}

}  // namespace
}  // namespace fastudp
