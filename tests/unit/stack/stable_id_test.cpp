// RFC 7217: interface identifiers that stay, and that tell nothing.

#include "stack/stable_id.h"

#include <gtest/gtest.h>

#include <set>

#include "unit/stack/stack_support.h"

namespace fastudp {
namespace {

using test::ip;
using test::mac_of;

const stable_id_source host{mac_of(1), {7, 8}};
const ip_address here = ip("2001:db8:1:2::"), there = ip("2001:db8:1:3::");

TEST(stable_id, the_same_host_in_the_same_network_has_the_same) {
  const stable_id_source again{mac_of(1), {7, 8}};
  EXPECT_EQ(stable_address(here, host, 0), stable_address(here, again, 0));
}

TEST(stable_id, the_prefix_stays) {
  EXPECT_EQ(stable_address(here, host, 0).high(), here.high());
  EXPECT_EQ(stable_address(ip("2001:db8:1:2:ffff:ffff:ffff:ffff"), host, 0), stable_address(here, host, 0));
}

TEST(stable_id, everything_else_gives_another) {
  const std::set<std::uint64_t> ids{
      stable_address(here, host, 0).low(),
      stable_address(there, host, 0).low(),
      stable_address(here, host, 1).low(),
      stable_address(here, {mac_of(2), {7, 8}}, 0).low(),
      stable_address(here, {mac_of(1), {7, 9}}, 0).low(),
      stable_address(here, {mac_of(1), {6, 8}}, 0).low(),
  };
  EXPECT_EQ(ids.size(), 6u);
}

TEST(stable_id, does_not_show_the_mac_address) {
  const auto b = stable_address(here, host, 0).bytes;
  EXPECT_FALSE(b[11] == 0xff && b[12] == 0xfe) << "RFC 4291 appendix A";
}

TEST(stable_id, rfc5453_what_is_reserved) {
  for (const std::uint64_t id :
       {0x0ull, 0x02005efffe000000ull, 0x02005efffeffffffull, 0xfdffffffffffff80ull, 0xfdffffffffffffffull}) {
    EXPECT_TRUE(is_reserved_interface_id(id)) << std::hex << id;
  }
  for (const std::uint64_t id :
       {0x1ull, 0x02005efffdffffffull, 0x02005effff000000ull, 0xfdffffffffffff7full, 0xfe00000000000000ull}) {
    EXPECT_FALSE(is_reserved_interface_id(id)) << std::hex << id;
  }
}

}  // namespace
}  // namespace fastudp
