// Super-packets cut into the datagrams that they stand for, whatever their headers claim.

#include "link/segments.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "unit/link/support.h"

namespace fastudp::test {
namespace {

std::span<const std::byte> octets(const std::string& text) { return std::as_bytes(std::span(text)); }

// Ethernet, IPv4 of `ip_words` words, UDP; lengths and checksum as of one large datagram.
std::string super_packet(std::size_t payload, unsigned ip_words = 5) {
  std::string ip(ip_words * 4, '\0');
  ip[0] = static_cast<char>(0x40 | ip_words);
  ip[4] = 0x12;
  ip[5] = static_cast<char>(0xff);
  ip[8] = 64;
  ip[9] = 17;
  std::string out = ethernet(mac_of(1), mac_of(2), ip + std::string(8, 'U'), 0x0800);
  for (std::size_t i = 0; i < payload; ++i) out += static_cast<char>('a' + i % 26);
  return out;
}

unsigned word(const std::string& frame, std::size_t at) {
  return static_cast<unsigned char>(frame[at]) << 8 | static_cast<unsigned char>(frame[at + 1]);
}

unsigned sum_of(const std::string& frame, std::size_t size) {
  unsigned sum = 0;
  for (std::size_t i = 0; i < size; i += 2) sum += word(frame, 14 + i);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

std::vector<std::string> cut(const std::string& whole, std::uint32_t size) {
  const segments pieces(octets(whole), size);
  std::vector<std::string> out;
  for (std::size_t i = 0; !pieces.is_whole() && i < pieces.count(); ++i) {
    std::string room(pieces.room_needed(), '\0');
    room.resize(pieces.write(i, std::as_writable_bytes(std::span(room))));
    out.push_back(room);
  }
  return out;
}

TEST(segments, each_is_a_datagram_of_its_own) {
  for (const unsigned words : {5u, 6u, 15u}) {
    const auto whole = super_packet(1050, words);
    const auto pieces = cut(whole, 500);
    ASSERT_EQ(pieces.size(), 3u);
    std::string payload;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::size_t header = 14 + words * 4 + 8, size = pieces[i].size() - header;
      EXPECT_EQ(size, i == 2 ? 50u : 500u);
      EXPECT_EQ(word(pieces[i], 16), words * 4 + 8 + size);      // IP total length
      EXPECT_EQ(word(pieces[i], 18), 0x12ff + i);                // identification
      EXPECT_EQ(sum_of(pieces[i], words * 4), 0xffffu);          // header checksum
      EXPECT_EQ(word(pieces[i], 14 + words * 4 + 4), 8 + size);  // UDP length
      payload += pieces[i].substr(header);
    }
    EXPECT_EQ(payload, whole.substr(14 + words * 4 + 8));
  }
}

TEST(segments, each_is_a_datagram_of_its_own_over_ipv6) {
  std::string ip(40, '\0');
  ip[0] = 0x60;
  ip[6] = 17;
  const auto whole = ethernet(mac_of(1), mac_of(2), ip + std::string(8, 'U') + std::string(1050, 'x'), 0x86dd);
  const auto pieces = cut(whole, 500);
  ASSERT_EQ(pieces.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t size = i == 2 ? 50 : 500;
    EXPECT_EQ(pieces[i].size(), 14u + 40 + 8 + size);
    EXPECT_EQ(word(pieces[i], 14 + 4), 8 + size);       // IP payload length
    EXPECT_EQ(word(pieces[i], 14 + 40 + 4), 8 + size);  // UDP length
  }
}

TEST(segments, tags_are_on_each) {
  const auto plain = super_packet(1050);
  for (const auto& tags : {std::string("\x81\0\0\x05", 4), std::string("\x88\xa8\0\x07\x81\0\0\x05", 8)}) {
    const auto pieces = cut(std::string(plain).insert(12, tags), 500), expected = cut(plain, 500);
    ASSERT_EQ(pieces.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(pieces[i], std::string(expected[i]).insert(12, tags));
  }
}

TEST(segments, what_is_no_super_packet_stays_whole) {
  EXPECT_TRUE(segments(octets(super_packet(100)), 0).is_whole());
  EXPECT_TRUE(segments(octets(super_packet(0)), 100).is_whole());
  EXPECT_TRUE(segments(octets(std::string(20, 'x')), 100).is_whole());
  auto tcp = super_packet(100), arp = super_packet(100), short_header = super_packet(100),
       long_header = super_packet(10);
  tcp[14 + 9] = 6;
  arp[13] = 6;
  short_header[14] = 0x44;
  long_header[14] = 0x4f;
  for (const auto& frame : {tcp, arp, short_header, long_header}) EXPECT_TRUE(segments(octets(frame), 10).is_whole());
}

TEST(segments, lies_in_the_headers_stay_within_bounds) {
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    auto frame = super_packet(random() % 200);
    for (int i = 0; i < 6; ++i) frame[random() % frame.size()] = static_cast<char>(random());
    frame.resize(random() % (frame.size() + 1));
    std::size_t total = 0;
    for (const auto& piece : cut(frame, random() % 70)) total += piece.size();
    EXPECT_LE(total, 300u * 200u);
  }
}

}  // namespace
}  // namespace fastudp::test
