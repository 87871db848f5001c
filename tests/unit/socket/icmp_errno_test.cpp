// What an ICMP error means to a socket: a row for each, as Linux's icmp(7) and icmp_err_convert have them.

#include "socket/icmp_errno.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace fastudp {
namespace {

TEST(icmp_errno, has_linux_numbers) {
  struct {
    int type, code, number;
    bool fatal;
  } const rows[] = {
      {3, 0, ENETUNREACH, false},   {3, 1, EHOSTUNREACH, false},  {3, 2, ENOPROTOOPT, true},
      {3, 3, ECONNREFUSED, true},   {3, 4, EMSGSIZE, false},      {3, 5, EOPNOTSUPP, false},
      {3, 6, ENETUNREACH, true},    {3, 7, EHOSTDOWN, true},      {3, 8, ENONET, true},
      {3, 9, ENETUNREACH, true},    {3, 10, EHOSTUNREACH, true},  {3, 11, ENETUNREACH, false},
      {3, 12, EHOSTUNREACH, false}, {3, 13, EHOSTUNREACH, true},  {3, 14, EHOSTUNREACH, true},
      {3, 15, EHOSTUNREACH, true},  {3, 16, EHOSTUNREACH, false}, {3, 255, EHOSTUNREACH, false},
      {11, 0, EHOSTUNREACH, false}, {11, 1, EHOSTUNREACH, false}, {12, 0, EPROTO, true},
  };
  for (const auto& [type, code, number, fatal] : rows) {
    const socket_error got = errno_of_icmp(static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(code));
    EXPECT_EQ(got.code, number) << type << '/' << code;
    EXPECT_EQ(got.fatal, fatal) << type << '/' << code;
  }
}

}  // namespace
}  // namespace fastudp
