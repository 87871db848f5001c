// Which datagrams are read as one. What GRO joins is seen in tests/conformance/test_segments.py; here is what only
// losses, several sources at once and long rows bring about.

#include "socket/datagram_row.h"

#include <gtest/gtest.h>

#include <string>

#include "support/node.h"

namespace fastudp {
namespace {

using test::node;

constexpr endpoint_address peer{node::address_of(9), 999}, stranger{node::address_of(8), 999};
constexpr endpoint_address here{node::address_of(1), 53};

// A packet as ingress leaves it.
class datagram {
 public:
  datagram(std::size_t size, joining how, const endpoint_address& from = peer)
      : bytes_(test::udp_packet({here, from}, std::string(size, 'x'))) {
    it.frame = reinterpret_cast<std::byte*>(bytes_.data());
    bytes_[6] = 0x40;  // DF: the identification means nothing
    it.network = 0;
    it.transport = 20;
    it.begin = 28;
    it.length = static_cast<std::uint32_t>(size);
    it.joins = how;
  }

  packet it;

 private:
  std::string bytes_;
};

constexpr auto alike = joining::if_alike, alone = joining::alone, piece = joining::always;

TEST(datagram_row, pieces_follow_their_first) {
  datagram_row row;
  const datagram first(5, alone), next(5, piece), last(3, piece), after(3, piece);
  EXPECT_EQ(row.add(nullptr, first.it, 1), place_in_row::first);
  EXPECT_EQ(row.add(&first.it, next.it, 2), place_in_row::piece);  // whatever burst it comes in
  EXPECT_EQ(row.add(&next.it, last.it, 2), place_in_row::piece);
  EXPECT_EQ(row.add(&last.it, after.it, 2), place_in_row::first);  // a shorter one ends a row
}

TEST(datagram_row, pieces_of_a_first_that_is_lost_are_lost) {
  datagram_row row;
  const datagram before(5, alone), first(5, alone), next(5, piece), another(5, alone);
  row.add(nullptr, before.it, 1);
  row.add(&before.it, first.it, 1);
  row.lose();
  EXPECT_EQ(row.add(&before.it, next.it, 1), place_in_row::piece_of_lost);
  EXPECT_EQ(row.add(&before.it, another.it, 1), place_in_row::first);
  EXPECT_EQ(row.add(&another.it, next.it, 1), place_in_row::piece);
}

TEST(datagram_row, pieces_do_not_follow_what_somebody_else_has_sent) {
  datagram_row row;
  const datagram first(5, alone), other(5, alone, stranger), next(5, piece);
  row.add(nullptr, first.it, 1);
  row.add(&first.it, other.it, 1);
  EXPECT_EQ(row.add(&other.it, next.it, 1), place_in_row::first);
}

TEST(datagram_row, what_has_been_read_is_not_continued) {
  datagram_row row;
  const datagram first(5, alike), next(5, alike);
  row.add(nullptr, first.it, 1);
  EXPECT_EQ(row.add(nullptr, next.it, 1), place_in_row::first);
}

TEST(datagram_row, what_comes_off_the_wire_does_not_follow_pieces) {
  datagram_row row;
  const datagram first(5, alone), next(5, piece), other(5, alike);
  row.add(nullptr, first.it, 1);
  row.add(&first.it, next.it, 1);
  EXPECT_EQ(row.add(&next.it, other.it, 1), place_in_row::first);
}

int longest_row(std::size_t size, joining how) {
  datagram_row row;
  const datagram first(size, how == piece ? alone : how), next(size, how);
  const packet* last = &first.it;
  row.add(nullptr, first.it, 1);
  for (int n = 1;; ++n, last = &next.it) {
    if (row.add(last, next.it, 1) == place_in_row::first) return n;
  }
}

TEST(datagram_row, a_row_is_as_long_as_linux_has_them_and_never_longer_than_a_datagram) {
  EXPECT_EQ(longest_row(1, alike), 64);
  EXPECT_EQ(longest_row(1, piece), 128);
  EXPECT_EQ(longest_row(1472, alike), 65'507 / 1472);
  EXPECT_EQ(longest_row(1472, piece), 65'507 / 1472);
}

}  // namespace
}  // namespace fastudp
