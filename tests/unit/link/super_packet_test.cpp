// Which frames of a burst are joined, and what the super-packet of them says.

#include "link/super_packet.h"

#include <gmock/gmock.h>

#include <functional>

#include "link/segments.h"
#include "unit/link/datagrams.h"

namespace fastudp::test {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

constexpr std::size_t before_payload_v4 = 14 + 20 + 8;

class joining_frames : public testing::Test {
 protected:
  packet* add(const frame& bytes, checksum_state sum = checksum_state::own) {
    packet* p = host::make_in(*frames_, bytes);
    p->checksum = sum;
    all_.push_back(p);
    return p;
  }
  packet* add(const datagram& d) { return add(d.in(mac_of(1), mac_of(2))); }
  void TearDown() override { clear(); }
  void clear() {
    for (packet* p : all_) release(p);
    all_.clear();
  }
  std::size_t alike() const { return super_packet::count_alike(all_); }
  frame joined() {
    std::vector<iovec> parts(all_.size() + 1);
    super_packet whole;
    whole.join(all_, parts.data());
    frame out;
    for (const auto& part : parts) out.append(static_cast<const char*>(part.iov_base), part.iov_len);
    return out;
  }

  std::unique_ptr<pool> frames_ = std::move(*pool::create(256, 16'384));
  std::vector<packet*> all_;
};

std::string letters(std::size_t size, char first = 'a') {
  std::string out;
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>(first + i % 23);
  return out;
}

std::vector<frame> cut(const frame& whole, std::uint32_t size) {
  const segments pieces(std::as_bytes(std::span(whole)), size);
  std::vector<frame> out;
  for (std::size_t i = 0; i < pieces.count(); ++i) {
    frame room(pieces.room_needed(), '\0');
    room.resize(pieces.write(i, std::as_writable_bytes(std::span(room))));
    out.push_back(room);
  }
  return out;
}

TEST_F(joining_frames, a_row_becomes_one_datagram_with_a_header_that_says_how_to_cut_it) {
  for (const char* text : {"one", "two", "six", "x"})
    add(datagram{.payload = text, .identification = 500, .ttl = 9, .tos = 4});
  ASSERT_EQ(alike(), 4u);
  const auto whole = joined();
  // needs a checksum, segments of UDP; headers 42, size 3, sums from 34 into 6 behind it
  EXPECT_EQ(whole.substr(0, 10), std::string("\x01\x05\x2a\0\x03\0\x22\0\x06\0", 10));
  auto expected = datagram{.payload = "onetwosixx", .identification = 500, .ttl = 9, .tos = 4}.in(mac_of(1), mac_of(2));
  expected.replace(14 + 20 + 6, 2, number16(sum_of(pseudo_header(ipv4_pair(9, 1), 18))));
  EXPECT_EQ(whole.substr(10), expected);
}

TEST_F(joining_frames, over_ipv6_as_well) {
  for (const char* text : {"one", "two", "x"}) add(datagram{.payload = text, .addresses = ipv6_pair(9, 1)});
  ASSERT_EQ(alike(), 3u);
  const auto whole = joined();
  EXPECT_EQ(whole.substr(0, 10), std::string("\x01\x05\x3e\0\x03\0\x36\0\x06\0", 10));
  auto expected = datagram{.payload = "onetwox", .addresses = ipv6_pair(9, 1)}.in(mac_of(1), mac_of(2));
  expected.replace(14 + 40 + 6, 2, number16(sum_of(pseudo_header(ipv6_pair(9, 1), 15))));
  EXPECT_EQ(whole.substr(10), expected);
}

TEST_F(joining_frames, tags_stay_in_front) {
  const std::string tags("\x88\xa8\0\x07\x81\0\0\x05", 8);
  std::vector<frame> given;
  for (int i = 0; i < 2; ++i) {
    given.push_back(datagram{.payload = "abc"}.in(mac_of(1), mac_of(2)).insert(12, tags));
    add(given.back());
  }
  ASSERT_EQ(alike(), 2u);
  EXPECT_EQ(joined().substr(0, 10), std::string("\x01\x05\x32\0\x03\0\x2a\0\x06\0", 10));
  EXPECT_EQ(joined().substr(10, 22), given[0].substr(0, 22));
  add(datagram{.payload = "abc"}.in(mac_of(1), mac_of(2)).insert(12, tags).replace(15, 1, "\x08"));
  EXPECT_EQ(alike(), 2u);
}

// But for the checksums, which the kernel makes.
TEST_F(joining_frames, cut_again_they_are_what_they_were) {
  std::vector<frame> expected;
  for (std::uint16_t i = 0; i < 40; ++i) {
    const datagram d{.payload = letters(i == 39 ? 7 : 1000, static_cast<char>('a' + i)),
                     .identification = static_cast<std::uint16_t>(65'530 + i),
                     .fragment = 0};
    add(d);
    expected.push_back(d.in(mac_of(1), mac_of(2)));
  }
  ASSERT_EQ(alike(), 40u);
  auto got = cut(joined().substr(10), 1000);
  for (auto* frames : {&got, &expected}) {
    for (auto& f : *frames) f.replace(14 + 20 + 6, 2, "..");
  }
  EXPECT_THAT(got, ElementsAreArray(expected));
}

TEST_F(joining_frames, at_most_128_and_shorter_than_64_kib) {
  for (int i = 0; i < 200; ++i) add(datagram{.payload = "abc"});
  EXPECT_EQ(alike(), 128u);
  for (const std::size_t each : {1472u, 8000u, 16'000u}) {
    clear();
    for (int i = 0; i < 60; ++i) add(datagram{.payload = letters(each)});
    EXPECT_EQ(alike(), (65'535 - before_payload_v4) / each);
  }
}

TEST_F(joining_frames, of_exactly_the_longest_kind) {
  constexpr std::size_t all = 65'535 - before_payload_v4, each = 16'000, last = all - 4 * each;
  for (int i = 0; i < 4; ++i) add(datagram{.payload = letters(each)});
  add(datagram{.payload = letters(last)});
  EXPECT_EQ(alike(), 5u);
  EXPECT_EQ(joined().size(), 10u + 65'535);
  release(all_.back());
  all_.pop_back();
  add(datagram{.payload = letters(last + 1)});
  EXPECT_EQ(alike(), 4u);
}

TEST_F(joining_frames, a_shorter_one_is_the_last_and_a_longer_one_begins_anew) {
  for (const char* text : {"abc", "def", "g", "h", "ijk"}) add(datagram{.payload = text});
  EXPECT_EQ(alike(), 3u);
  EXPECT_EQ(super_packet::count_alike(std::span(all_).subspan(3)), 1u);
}

TEST_F(joining_frames, one_is_none) {
  add(datagram{.payload = "abc"});
  EXPECT_EQ(alike(), 1u);
}

// Each of these stands behind two that are alike.
TEST_F(joining_frames, what_differs_begins_anew) {
  const datagram plain{.payload = "abc"};
  const auto changed = [&](const std::function<void(datagram&)>& change) {
    datagram out = plain;
    change(out);
    return out.in(mac_of(1), mac_of(2));
  };
  const std::pair<const char*, frame> cases[] = {
      {"ttl", changed([](auto& d) { d.ttl = 63; })},
      {"tos", changed([](auto& d) { d.tos = 1; })},
      {"source port", changed([](auto& d) { d.from = 1; })},
      {"destination port", changed([](auto& d) { d.to = 1; })},
      {"source", changed([](auto& d) { d.addresses = ipv4_pair(8, 1); })},
      {"destination", changed([](auto& d) { d.addresses = ipv4_pair(9, 2); })},
      {"no checksum", changed([](auto& d) { d.has_sum = false; })},
      {"fragment", changed([](auto& d) { d.fragment = 0x2000; })},
      {"no DF", changed([](auto& d) { d.fragment = 0, d.identification = 2; })},
      {"identification", changed([](auto& d) { d.identification = 3; })},
      {"options", changed([](auto& d) { d.options = std::string(4, '\1'); })},
      {"empty", changed([](auto& d) { d.payload = ""; })},
      {"ipv6", changed([](auto& d) { d.addresses = ipv6_pair(9, 1); })},
      {"to another", plain.in(mac_of(3), mac_of(2))},
      {"with padding", plain.in(mac_of(1), mac_of(2)) + "x"},
      {"lying UDP length", plain.in(mac_of(1), mac_of(2)).replace(14 + 20 + 4, 2, number16(10))},
      {"lying IP length", plain.in(mac_of(1), mac_of(2)).replace(14 + 2, 2, number16(30))},
      {"no IP", ethernet(mac_of(1), mac_of(2), letters(31))},
      {"runt", frame(5, 'x')},
      {"nothing", frame()}};
  for (const auto& [name, other] : cases) {
    clear();
    add(plain), add(plain), add(other), add(plain);
    EXPECT_EQ(alike(), 2u) << name;
    EXPECT_EQ(super_packet::count_alike(std::span(all_).subspan(2)), 1u) << name;
  }
}

TEST_F(joining_frames, what_differs_begins_anew_over_ipv6) {
  const datagram plain{.payload = "abc", .addresses = ipv6_pair(9, 1)};
  auto hops = plain, port = plain, address = plain;
  hops.ttl = 1, port.to = 9, address.addresses = ipv6_pair(9, 2);
  auto label = plain.in(mac_of(1), mac_of(2)), fragment = label;
  label[14 + 3] ^= 1;
  fragment[14 + 6] = 44;
  for (const auto& other : {hops.in(mac_of(1), mac_of(2)), port.in(mac_of(1), mac_of(2)),
                            address.in(mac_of(1), mac_of(2)), label, fragment}) {
    clear();
    add(plain), add(plain), add(other);
    EXPECT_EQ(alike(), 2u);
  }
}

// What somebody has changed on its way down would become right by a new checksum.
TEST_F(joining_frames, a_checksum_that_is_not_our_own_is_not_made_anew) {
  const auto plain = datagram{.payload = "abc"}.in(mac_of(1), mac_of(2));
  add(plain, checksum_state::unknown), add(plain), add(plain), add(plain, checksum_state::verified);
  EXPECT_EQ(alike(), 1u);
  EXPECT_EQ(super_packet::count_alike(std::span(all_).subspan(1)), 2u);
}

TEST_F(joining_frames, identifications_count_up_or_mean_nothing) {
  const auto of = [&](std::initializer_list<int> numbers, std::uint16_t fragment) {
    clear();
    for (const int n : numbers)
      add(datagram{.payload = "abc", .identification = static_cast<std::uint16_t>(n), .fragment = fragment});
    return alike();
  };
  EXPECT_EQ(of({7, 8, 9}, 0), 3u);
  EXPECT_EQ(of({65'535, 0, 1}, 0), 3u);
  EXPECT_EQ(of({7, 8, 8}, 0), 2u);
  EXPECT_EQ(of({7, 7}, 0), 1u);
  EXPECT_EQ(of({7, 6}, 0), 1u);
  EXPECT_EQ(of({7, 7, 7}, 0x4000), 3u);
  EXPECT_EQ(of({7, 8, 9}, 0x4000), 3u);
  EXPECT_EQ(of({7, 9}, 0x4000), 1u);
}

TEST_F(joining_frames, a_burst_is_divided_and_what_was_refused_rests_for_longer_and_longer) {
  for (const char* text : {"abc", "def", "g", "hi", "j"}) add(datagram{.payload = text});
  joiner subject(true);
  joiner::division sizes;
  const auto divided = [&] {
    const auto count = subject.divide(all_, sizes);
    return std::vector<int>(sizes.begin(), sizes.begin() + count);
  };
  EXPECT_THAT(divided(), ElementsAre(3, 2));
  const auto rest = [&] {
    int out = 0;
    while (divided().size() == 5) ++out;
    return out;
  };
  subject.refused();
  EXPECT_EQ(rest(), 63);
  subject.refused();
  EXPECT_EQ(rest(), 127);
  for (int i = 0; i < 30; ++i) subject.refused();
  EXPECT_EQ(rest(), (1 << 20) - 1);
  subject.accepted();
  subject.refused();
  EXPECT_EQ(rest(), 63);
  joiner never(false);
  EXPECT_EQ(never.divide(all_, sizes), 5u);
}

}  // namespace
}  // namespace fastudp::test
