// Which addresses a host may have, and which one it sends from.

#include "stack/local_addresses.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "unit/stack/stack_support.h"

namespace fastudp {
namespace {

using test::ip;
using test::prefix;

TEST(local_addresses, come_and_go) {
  local_addresses ours;
  EXPECT_TRUE(ours.add(prefix("10.0.0.1/24")));
  EXPECT_EQ(ours.add(prefix("10.0.0.1/24")).code(), EEXIST);
  EXPECT_EQ(ours.add(prefix("10.0.0.1/16")).code(), EEXIST);
  EXPECT_TRUE(ours.contains(ip("10.0.0.1")));
  EXPECT_FALSE(ours.contains(ip("10.0.0.2")));
  EXPECT_EQ(ours.remove(ip("10.0.0.2")).code(), EADDRNOTAVAIL);
  EXPECT_EQ(*ours.remove(ip("10.0.0.1")), prefix("10.0.0.1/24"));
  EXPECT_FALSE(ours.contains(ip("10.0.0.1")));
}

TEST(local_addresses, sixty_four_fit) {
  local_addresses ours;
  for (std::uint32_t i = 1; i <= 64; ++i) EXPECT_TRUE(ours.add({ipv4_address::from_number(0x0a000000 + i), 24}));
  EXPECT_EQ(ours.add(prefix("10.0.0.65/24")).code(), ENOSPC);
  EXPECT_TRUE(ours.remove(ip("10.0.0.5")));
  EXPECT_TRUE(ours.add(prefix("10.0.0.65/24")));
  EXPECT_EQ(ours.all().size(), 64u);
}

TEST(local_addresses, rfc1122_3_2_1_3_what_no_host_may_have) {
  local_addresses ours;
  for (const char* text : {"0.0.0.0/24", "127.0.0.1/8", "224.0.0.1/24", "240.0.0.1/24", "255.255.255.255/32",
                           "10.0.0.0/24", "10.0.0.255/24", "10.0.0.1/0"}) {
    EXPECT_EQ(ours.add(prefix(text)).code(), EINVAL) << text;
  }
  EXPECT_EQ(ours.add({ip("10.0.0.1"), 33}).code(), EINVAL);
  EXPECT_EQ(ours.add({ip("10.0.0.1"), 255}).code(), EINVAL);
  EXPECT_TRUE(ours.all().empty());
}

TEST(local_addresses, rfc3021_two_hosts_on_a_prefix_of_31_bits) {
  local_addresses ours;
  EXPECT_TRUE(ours.add(prefix("10.0.0.0/31")));
  EXPECT_TRUE(ours.add(prefix("10.0.1.255/32")));
  EXPECT_FALSE(ours.is_subnet_broadcast(ip("10.0.0.1")));
  EXPECT_FALSE(ours.is_subnet_broadcast(ip("10.0.1.255")));
}

TEST(local_addresses, know_the_broadcast_of_each_prefix) {
  local_addresses ours;
  ASSERT_TRUE(ours.add(prefix("10.0.0.1/24")));
  ASSERT_TRUE(ours.add(prefix("172.16.5.1/22")));
  EXPECT_TRUE(ours.is_subnet_broadcast(ip("10.0.0.255")));
  EXPECT_TRUE(ours.is_subnet_broadcast(ip("172.16.7.255")));
  EXPECT_FALSE(ours.is_subnet_broadcast(ip("172.16.5.255")));
  EXPECT_FALSE(ours.is_subnet_broadcast(ip("255.255.255.255")));
}

TEST(local_addresses, send_from_the_one_nearest_to_the_next_hop) {
  local_addresses ours;
  EXPECT_TRUE(ours.source_for(ip("10.0.0.9"), ip("10.0.0.9")).is_any());
  ASSERT_TRUE(ours.add(prefix("192.168.0.1/24")));
  ASSERT_TRUE(ours.add(prefix("10.0.0.1/8")));
  ASSERT_TRUE(ours.add(prefix("10.1.0.1/16")));
  ASSERT_TRUE(ours.add(prefix("10.1.0.2/16")));
  EXPECT_EQ(ours.source_for(ip("10.2.0.9"), ip("10.2.0.9")), ip("10.0.0.1"));
  EXPECT_EQ(ours.source_for(ip("10.1.0.9"), ip("10.1.0.9")), ip("10.1.0.1"));  // of equals, the first
  EXPECT_EQ(ours.source_for(ip("8.8.8.8"), ip("8.8.8.8")), ip("192.168.0.1"));
  EXPECT_TRUE(ours.is_on_link(ip("10.9.9.9")));
  EXPECT_FALSE(ours.is_on_link(ip("8.8.8.8")));
}

TEST(local_addresses, rfc4862_5_4_a_tentative_address_is_not_ours_but_is_asked_for) {
  local_addresses ours;
  ASSERT_TRUE(ours.add_tentative(ip("2001:db8::12:3456")));
  EXPECT_EQ(ours.add_tentative(ip("2001:db8::12:3456")).code(), EEXIST);
  EXPECT_TRUE(ours.is_tentative(ip("2001:db8::12:3456")));
  EXPECT_FALSE(ours.contains(ip("2001:db8::12:3456")));
  EXPECT_TRUE(ours.is_solicited_node_group(ip("ff02::1:ff12:3456")));
  EXPECT_TRUE(ours.source_for(ip("2001:db8::1"), ip("2001:db8::1")).is_any());
  ours.remove_tentative(ip("2001:db8::12:3456"));
  EXPECT_FALSE(ours.is_tentative(ip("2001:db8::12:3456")));
  EXPECT_FALSE(ours.is_solicited_node_group(ip("ff02::1:ff12:3456")));
}

TEST(local_addresses, tentative_ones_are_bounded) {
  local_addresses ours;
  ip_address each = ip("2001:db8::");
  for (std::size_t i = 0; i < local_addresses::most_tentative; ++i) {
    ++each.bytes[15];
    EXPECT_TRUE(ours.add_tentative(each));
  }
  EXPECT_EQ(ours.add_tentative(ip("2001:db8::99")).code(), ENOSPC);
  ours.remove_tentative(ip("2001:db8::3"));
  EXPECT_TRUE(ours.add_tentative(ip("2001:db8::99")));
  EXPECT_TRUE(ours.is_tentative(ip("2001:db8::2")));
  EXPECT_TRUE(ours.is_tentative(ip("2001:db8::4")));
}

TEST(local_addresses, rfc6724_5_rule_3_a_deprecated_address_is_left_alone_where_another_fits) {
  local_addresses ours;
  const ip_address there = ip("2001:db8:1::99");
  for (const char* text : {"10.0.0.1/24", "fe80::1/64", "2001:db8:1::1/64", "2001:db8:2::1/64"}) {
    ASSERT_TRUE(ours.add(prefix(text)));
  }
  ours.set_deprecated(ip("2001:db8:1::1"), true);
  EXPECT_EQ(ours.source_for(there, there), ip("2001:db8:2::1"));
  EXPECT_EQ(ours.source_for(ip("2001:db8:1::1"), {}), ip("2001:db8:1::1")) << "rule 1";
  ours.set_deprecated(ip("2001:db8:2::1"), true);
  EXPECT_EQ(ours.source_for(there, there), ip("2001:db8:1::1")) << "better than one of another scope: rule 2";
  ours.set_deprecated(ip("2001:db8:1::1"), false);
  ASSERT_TRUE(ours.remove(ip("10.0.0.1")));
  EXPECT_EQ(ours.source_for(ip("2001:db8:2::99"), {}), ip("2001:db8:1::1")) << "it is still the same one";
  ASSERT_TRUE(ours.remove(ip("2001:db8:2::1")));
  ASSERT_TRUE(ours.add(prefix("2001:db8:2::1/64")));
  EXPECT_EQ(ours.source_for(ip("2001:db8:2::99"), {}), ip("2001:db8:2::1")) << "a new one is not deprecated";
}

}  // namespace
}  // namespace fastudp
