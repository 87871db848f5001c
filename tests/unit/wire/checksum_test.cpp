// The Internet checksum: known vectors, and every way of computing it against one that adds bit by bit.

#include "wire/checksum.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "unit/wire/wire_support.h"
#include "wire/ipv4.h"
#include "wire/udp.h"

namespace fastudp {
namespace {

// One's complement addition of one bit of a given weight, with the carry running around the end.
void oracle_add_bit(std::uint16_t& sum, unsigned weight) {
  do {
    const auto bit = static_cast<std::uint16_t>(1u << weight);
    const bool carry = sum & bit;
    sum = static_cast<std::uint16_t>(sum ^ bit);
    if (!carry) return;
    weight = (weight + 1) % 16;
  } while (true);
}

std::uint16_t oracle_sum(std::span<const std::byte> bytes) {
  std::uint16_t sum = 0;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    if (oracle_bit(bytes, bit)) oracle_add_bit(sum, 15 - bit % 16);
  }
  return sum;
}

std::uint16_t folded(std::span<const std::byte> bytes) {
  checksum_sum sum;
  sum.add(bytes);
  return sum.folded();
}

TEST(checksum, rfc1071_example) {
  EXPECT_EQ(folded(hex("00 01 f2 03 f4 f5 f6 f7")), 0xddf2);
  EXPECT_EQ(checksum(hex("00 01 f2 03 f4 f5 f6 f7")), 0x220d);
}

TEST(checksum, of_an_ipv4_header) {
  octet_string header = hex("45 00 00 73 00 00 40 00 40 11 00 00 c0 a8 00 01 c0 a8 00 c7");
  EXPECT_EQ(checksum(header), 0xb861);
  EXPECT_FALSE(verify_checksum(header));
  mutable_view<ipv4>::parse(header)->set<&ipv4::checksum>(checksum(header));
  EXPECT_TRUE(verify_checksum(header));
}

TEST(checksum, of_nothing_and_of_one_byte) {
  EXPECT_EQ(checksum({}), 0xffff);
  EXPECT_EQ(checksum(hex("ab")), 0x54ff);
}

TEST(checksum, any_flipped_bit_is_noticed) {
  octet_string header = hex("45 00 00 73 00 00 40 00 40 11 b8 61 c0 a8 00 01 c0 a8 00 c7");
  for (std::size_t bit = 0; bit < header.size() * 8; ++bit) {
    octet_string other = header;
    other[bit / 8] ^= static_cast<std::byte>(0x80 >> bit % 8);
    EXPECT_FALSE(verify_checksum(other)) << bit;
  }
}

TEST(checksum, all_ones_carry_around) {
  for (std::size_t length : {2u, 8u, 32u, 64u, 1500u, 65534u}) {
    EXPECT_EQ(folded(octet_string(length, std::byte{0xff})), 0xffff) << length;
  }
}

class every_kernel : public testing::TestWithParam<std::size_t> {
 protected:
  const checksum_kernel kernel = checksum_kernels()[GetParam()];
  static std::uint16_t host(std::uint64_t sum) { return network_order(wire::fold(sum)); }
};
INSTANTIATE_TEST_SUITE_P(checksum, every_kernel, testing::Range(std::size_t{0}, checksum_kernels().size()),
                         [](const auto& which) { return std::string(checksum_kernels()[which.param].name); });

TEST_P(every_kernel, sums_all_lengths) {
  random_source random(1);
  const octet_string bytes = random_bytes(random, 2000);
  for (std::size_t length = 0; length <= bytes.size(); ++length) {
    const octet_string exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    ASSERT_EQ(host(kernel.sum(exact.data(), length)), oracle_sum(exact)) << length;
  }
}

TEST_P(every_kernel, sums_at_all_alignments) {
  random_source random(2);
  const octet_string bytes = random_bytes(random, 512);
  for (std::size_t begin = 0; begin < 64; ++begin) {
    for (std::size_t length = 0; length <= 256; ++length) {
      const auto piece = std::span(bytes).subspan(begin, length);
      ASSERT_EQ(host(kernel.sum(piece.data(), length)), oracle_sum(piece)) << begin << ' ' << length;
    }
  }
}

TEST_P(every_kernel, copies_what_it_sums) {
  random_source random(3);
  const octet_string bytes = random_bytes(random, 2100);
  for (std::size_t length = 0; length <= 2000; ++length) {
    const auto piece = std::span(bytes).subspan(length % 67, length);
    octet_string copy(length + 1, std::byte{0xee});
    ASSERT_EQ(host(kernel.copy_and_sum(copy.data(), piece.data(), length)), oracle_sum(piece)) << length;
    ASSERT_TRUE(std::equal(piece.begin(), piece.end(), copy.begin())) << length;
    ASSERT_EQ(copy.back(), std::byte{0xee}) << length;
  }
}

TEST_P(every_kernel, never_overflows) {
  const octet_string ones(65535, std::byte{0xff});
  EXPECT_EQ(host(kernel.sum(ones.data(), 65534)), 0xffff);
  EXPECT_EQ(host(kernel.sum(ones.data(), 65535)), 0xff00);
}

TEST(checksum, the_wide_path_is_taken_where_the_kernel_says_it_can_be) {
  std::ifstream stream("/proc/cpuinfo");
  const std::string processor(std::istreambuf_iterator<char>(stream), {});
  const bool wide = processor.find(" avx2") != std::string::npos;
  EXPECT_STREQ(checksum_kernels().back().name, wide ? "avx2" : "scalar");
}

TEST(checksum_sum, pieces_of_any_length_are_one_message) {
  random_source random(4);
  for (int round = 0; round < 5000; ++round) {
    const octet_string bytes = random_bytes(random, random.below(700));
    checksum_sum added, copied;
    octet_string copy(bytes.size());
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t length = std::min<std::size_t>(bytes.size() - at, random.below(round % 2 ? 300 : 7));
      added.add(std::span(bytes).subspan(at, length));
      copied.add_copy(copy.data() + at, std::span(bytes).subspan(at, length));
      at += length;
    }
    ASSERT_EQ(added.folded(), oracle_sum(bytes));
    ASSERT_EQ(copied.folded(), oracle_sum(bytes));
    ASSERT_EQ(copy, bytes);
  }
}

TEST(checksum_sum, every_odd_split_of_a_message) {
  random_source random(5);
  const octet_string bytes = random_bytes(random, 40);
  for (std::size_t a = 0; a <= bytes.size(); ++a) {
    for (std::size_t b = a; b <= bytes.size(); ++b) {
      checksum_sum sum;
      sum.add(std::span(bytes).first(a));
      sum.add(std::span(bytes).subspan(a, b - a));
      sum.add(std::span(bytes).subspan(b));
      ASSERT_EQ(sum.folded(), oracle_sum(bytes)) << a << ' ' << b;
    }
  }
}

TEST(checksum_sum, words_and_addresses_count_as_their_bytes) {
  checksum_sum even;
  even.add_word(0x1234);
  even.add_address({{1, 2, 3, 4}});
  EXPECT_EQ(even.folded(), oracle_sum(hex("12 34 01 02 03 04")));

  checksum_sum odd;
  odd.add(hex("aa"));
  odd.add_word(0x1234);
  odd.add_address({{1, 2, 3, 4}});
  EXPECT_EQ(odd.folded(), oracle_sum(hex("aa 12 34 01 02 03 04")));
}

TEST(checksum, copy_and_sum_is_copy_and_sum) {
  const octet_string from = hex("00 01 f2 03 f4 f5 f6");
  octet_string to(from.size());
  EXPECT_EQ(copy_and_sum(to.data(), from).folded(), oracle_sum(from));
  EXPECT_EQ(to, from);
}

// "hi" from 10.0.0.1:12345 to 10.0.0.2:53.
TEST(checksum, udp_with_its_pseudo_header) {
  const octet_string datagram = hex("30 39 00 35 00 0a 00 00 68 69");
  checksum_sum sum = pseudo_header_sum(ipv4_address{{10, 0, 0, 1}}, ipv4_address{{10, 0, 0, 2}}, 17, 10);
  sum.add(datagram);
  EXPECT_EQ(sum.finish(), 0x5300);
  EXPECT_EQ(sum.folded(), oracle_sum(hex("0a 00 00 01 0a 00 00 02 00 11 00 0a 30 39 00 35 00 0a 00 00 68 69")));
}

TEST(checksum, udp_sends_a_computed_zero_as_ffff) {
  EXPECT_EQ(as_udp_checksum(0), 0xffff);
  EXPECT_EQ(as_udp_checksum(0xffff), 0xffff);
  EXPECT_EQ(as_udp_checksum(1), 1);
}

TEST(checksum, rfc1624_example_gives_zero_not_ffff) { EXPECT_EQ(update_checksum(0xdd2f, 0x5555, 0x3285), 0x0000); }

TEST(checksum, update_is_what_recomputing_gives) {
  random_source random(6);
  for (int round = 0; round < 100'000; ++round) {
    octet_string message = random_bytes(random, 20);
    const std::uint16_t corners[] = {0x0000, 0xffff, 0x0001, 0xfffe, static_cast<std::uint16_t>(random.next())};
    const std::uint16_t before = corners[random.below(5)], after = corners[random.below(5)];
    const std::size_t at = 2 * random.below(10);
    store_network(message.data() + at, before);
    const std::uint16_t old_checksum = checksum(message);
    store_network(message.data() + at, after);
    ASSERT_EQ(update_checksum(old_checksum, before, after), checksum(message)) << before << ' ' << after;
  }
}

TEST(checksum, update_to_the_same_word_changes_nothing) {
  for (unsigned sum = 0; sum < 0xffff; ++sum) {
    const auto word = static_cast<std::uint16_t>(sum * 40503);
    ASSERT_EQ(update_checksum(static_cast<std::uint16_t>(sum), word, word), sum);
  }
}

}  // namespace
}  // namespace fastudp
