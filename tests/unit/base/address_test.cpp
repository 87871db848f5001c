// Addresses: text and back, what the special ones are, prefixes.

#include "base/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

namespace fastudp {
namespace {

TEST(ipv4, text_and_back) {
  for (const char* text : {"0.0.0.0", "10.0.0.1", "255.255.255.255", "1.22.133.0"}) {
    const auto address = parse_ip(text);
    ASSERT_TRUE(address) << text;
    EXPECT_STREQ(to_text(*address).c_str(), text);
  }
  EXPECT_EQ(parse_ip("10.0.0.1")->ipv4().number(), 0x0a000001u);
  EXPECT_EQ(ipv4_address::from_number(0x01020304), parse_ip("1.2.3.4"));
}

TEST(ipv4, the_whole_text_or_nothing) {
  for (const char* text :
       {"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.0.0.1", "1.2.3.1000", "1.2.3.-4", "1.2.3.+4",
        " 1.2.3.4", "1.2.3.4 ", "1.2.3.4/24", "a.b.c.d", "0x1.2.3.4", "01.2.3.4", "1.2.3.00"}) {
    EXPECT_FALSE(parse_ip(text)) << text;
    in_addr theirs;
    EXPECT_EQ(::inet_pton(AF_INET, text, &theirs), 0) << text;
  }
  EXPECT_TRUE(parse_ip(std::string_view("1.2.3.45", 7)));  // it ends where the view does
}

TEST(ipv4, reads_what_the_system_reads) {
  std::mt19937 random(1);
  const std::string alphabet = "0123456789.";
  for (int i = 0; i < 200'000; ++i) {
    std::string text = "1.2.3.4";
    for (int changes = 0; changes < 3; ++changes) text[random() % text.size()] = alphabet[random() % alphabet.size()];
    in_addr theirs;
    const bool valid = ::inet_pton(AF_INET, text.c_str(), &theirs) == 1;
    const auto ours = parse_ip(text);
    ASSERT_EQ(ours.has_value(), valid) << text;
    ASSERT_EQ(ours.value_or(ipv4_address{}).ipv4().number(), valid ? ntohl(theirs.s_addr) : 0) << text;
  }
}

TEST(ipv4, the_special_addresses_are_known) {
  const auto is = [](const char* text) { return *parse_ip(text); };
  EXPECT_TRUE(is("0.0.0.0").is_any());
  EXPECT_FALSE(is("0.0.0.1").is_any());
  EXPECT_TRUE(is("127.255.0.1").is_loopback());
  EXPECT_FALSE(is("128.0.0.1").is_loopback());
  EXPECT_TRUE(is("224.0.0.1").is_multicast());
  EXPECT_TRUE(is("239.255.255.255").is_multicast());
  EXPECT_FALSE(is("223.255.255.255").is_multicast());
  EXPECT_FALSE(is("240.0.0.0").is_multicast());
  EXPECT_TRUE(is("240.0.0.0").is_reserved());
  EXPECT_TRUE(is("255.255.255.255").is_reserved());
  EXPECT_TRUE(is("255.255.255.255").is_limited_broadcast());
  EXPECT_FALSE(is("255.255.255.254").is_limited_broadcast());
}

TEST(prefix, text_with_and_without_a_length) {
  EXPECT_EQ(parse_ip_prefix("10.0.0.7/24"), (ip_prefix{*parse_ip("10.0.0.7"), 24}));
  EXPECT_EQ(parse_ip_prefix("10.0.0.7"), (ip_prefix{*parse_ip("10.0.0.7"), 32}));
  EXPECT_EQ(parse_ip_prefix("0.0.0.0/0"), (ip_prefix{ipv4_address{}, 0}));
  for (const char* text :
       {"10.0.0.7/", "10.0.0.7/33", "10.0.0.7/-1", "10.0.0.7/24x", "10.0.0.7/024", "10.0.0/24", "/24"}) {
    EXPECT_FALSE(parse_ip_prefix(text)) << text;
  }
}

TEST(prefix, its_ends) {
  const struct {
    const char *prefix, *network, *broadcast, *inside, *outside;
  } rows[] = {{"10.1.2.3/24", "10.1.2.0", "10.1.2.255", "10.1.2.77", "10.1.3.3"},
              {"10.1.2.3/31", "10.1.2.2", "10.1.2.3", "10.1.2.2", "10.1.2.1"},
              {"10.1.2.3/32", "10.1.2.3", "10.1.2.3", "10.1.2.3", "10.1.2.2"},
              {"10.1.2.3/1", "0.0.0.0", "127.255.255.255", "127.0.0.1", "128.0.0.0"}};
  for (const auto& row : rows) {
    const auto prefix = *parse_ip_prefix(row.prefix);
    EXPECT_STREQ(to_text(prefix.network()).c_str(), row.network) << row.prefix;
    EXPECT_STREQ(to_text(prefix.broadcast()).c_str(), row.broadcast) << row.prefix;
    EXPECT_TRUE(prefix.contains(*parse_ip(row.inside))) << row.prefix;
    EXPECT_FALSE(prefix.contains(*parse_ip(row.outside))) << row.prefix;
  }
  EXPECT_TRUE(parse_ip_prefix("1.2.3.4/0")->contains(*parse_ip("255.255.255.255")));
}

TEST(mac, text_and_back) {
  const auto mac = parse_mac("02:00:5E:ff:0a:1");
  ASSERT_TRUE(mac);
  EXPECT_STREQ(to_text(*mac).c_str(), "02:00:5e:ff:0a:01");
  for (const char* text : {"", "02:00:00:00:00", "02:00:00:00:00:00:00", "02-00-00-00-00-00", "02:00:00:00:00:0g",
                           "020:00:00:00:00:0", "02:00:00:00:00:", "0x2:00:00:00:00:00", "02:00:00:00:00:00 "}) {
    EXPECT_FALSE(parse_mac(text)) << text;
  }
}

TEST(mac, kinds) {
  EXPECT_TRUE(broadcast_mac.is_group());
  EXPECT_TRUE(parse_mac("01:00:5e:00:00:01")->is_group());
  EXPECT_FALSE(parse_mac("02:00:5e:00:00:01")->is_group());
  EXPECT_TRUE(mac_address{}.is_zero());
  EXPECT_FALSE(broadcast_mac.is_zero());
}

TEST(ip, ipv4_in_its_mapped_form_and_back) {
  const auto v4 = *parse_ip("192.0.2.1");
  const ip_address mapped = v4;
  in6_addr theirs;
  ASSERT_EQ(::inet_pton(AF_INET6, "::ffff:192.0.2.1", &theirs), 1);
  EXPECT_TRUE(std::equal(mapped.bytes.begin(), mapped.bytes.end(), theirs.s6_addr));
  EXPECT_EQ(mapped.ipv4(), v4);
  EXPECT_NE(mapped, ip_address{});
}

}  // namespace
}  // namespace fastudp
