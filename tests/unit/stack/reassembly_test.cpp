// Fragments: those that belong together, those that never should, and floods of them.

#include "stack/reassembly.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "base/random.h"
#include "unit/stack/stack_support.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"

namespace fastudp {
namespace {

using test::dropped;
using test::from_hex;
using test::ip;

constexpr std::uint32_t longest_payload = 65'515;

// What each byte of a datagram's payload is, so that one that came from elsewhere is seen.
char truth(std::uint32_t at) { return static_cast<char>(at * 31 + at / 256 + 1); }
std::string truth(std::uint32_t begin, std::uint32_t end) {
  std::string out;
  for (std::uint32_t at = begin; at < end; ++at) out += truth(at);
  return out;
}

struct piece {
  std::uint32_t begin = 0, end = 0;
  bool more = true;
  std::uint16_t identification = 1;
  ipv4_address source = ip("10.0.0.2").ipv4();
  std::uint8_t ecn = 0;
  ip_protocol protocol = ip_protocol::udp;
  std::string options{};
};

std::string bytes_of(const piece& p, std::string_view payload) {
  const auto header_size = static_cast<std::uint32_t>(20 + p.options.size());
  ipv4 header{.ihl = u<4>::masked(header_size / 4),
              .ecn = u<2>::masked(p.ecn),
              .total_length = u<16>::masked(header_size + payload.size()),
              .identification = p.identification,
              .flags = p.more ? ipv4::more_fragments : u<3>(0),
              .fragment_offset = u<13>::masked(p.begin / 8),
              .protocol = p.protocol,
              .source = p.source,
              .destination = ip("10.0.0.1").ipv4()};
  std::memcpy(header.options.content.data(), p.options.data(), p.options.size());
  std::string out(header_size + payload.size(), '\0');
  const auto view = *store(header, std::as_writable_bytes(std::span(out)));
  view.set<&ipv4::checksum>(checksum(view.header()));
  std::copy(payload.begin(), payload.end(), out.begin() + header_size);
  return out;
}

class reassembly_test : public testing::Test, public reassembly_events {
 protected:
  reassembly_test() { large.soil(); }

  void timed_out(packet* first_fragment, time_point) override {
    EXPECT_EQ(first_fragment->network, first_fragment->begin);
    told.push_back(test::bytes_of(first_fragment));
  }

  // The whole datagram, or nothing.
  std::string add_bytes(std::string_view bytes) {
    packet* p = small.make(bytes);
    p->network = p->begin;
    packet* whole = parts.add(p, now);
    if (whole == nullptr) return {};
    EXPECT_EQ(whole->network, whole->begin);
    std::string out = test::bytes_of(whole);
    release(whole);
    return out;
  }
  std::string add(const piece& p) { return add_bytes(bytes_of(p, truth(p.begin, p.end))); }
  static std::string payload_of(const std::string& whole) {
    return whole.empty() ? whole : whole.substr((whole[0] & 15) * 4u);
  }
  std::uint64_t fragments_dropped() const { return dropped(count, drop::fragment); }

  time_point now = 1000 * second;
  test::frames small{4, 66'560}, large{128, 66'560};
  counters count;
  std::vector<std::string> told;
  reassembly parts{large.pool(), *this, count};
};

// Made with Scapy: a UDP datagram of 50 bytes, fragmented at 24.
const char scapy_fragments[][100] = {
    "4500002c123420004011348b0a0000020a00000103e807d0003a854c000102030405060708090a0b0c0d0e0f",
    "4500002c12342003401134880a0000020a000001101112131415161718191a1b1c1d1e1f2021222324252627",
    "4500001e12340006401154930a0000020a00000128292a2b2c2d2e2f3031",
};
const char scapy_whole[] =
    "4500004e12340000401154690a0000020a00000103e807d0003a854c000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c"
    "1d1e1f202122232425262728292a2b2c2d2e2f3031";

TEST_F(reassembly_test, rfc791_a_datagram_comes_together_in_any_order) {
  int order[] = {0, 1, 2};
  do {
    EXPECT_EQ(add_bytes(from_hex(scapy_fragments[order[0]])), "");
    EXPECT_EQ(add_bytes(from_hex(scapy_fragments[order[1]])), "");
    EXPECT_EQ(test::to_hex(add_bytes(from_hex(scapy_fragments[order[2]]))), scapy_whole);
  } while (std::next_permutation(std::begin(order), std::end(order)));
  EXPECT_EQ(dropped(count), 0u);
}

TEST_F(reassembly_test, the_header_is_the_first_fragments_with_its_options) {
  const std::string options = from_hex("0101010194040000");  // no-ops, router alert
  add({.begin = 8, .end = 16, .more = false, .options = options.substr(4)});
  const std::string whole = add({.begin = 0, .end = 8, .options = options});
  EXPECT_EQ(whole.size(), 28u + 16u);
  EXPECT_EQ(whole.substr(20, 8), options);
  EXPECT_EQ(payload_of(whole), truth(0, 16));
  const auto header = view<ipv4>::parse(std::as_bytes(std::span(whole)));
  EXPECT_EQ(header->get<&ipv4::total_length>(), 44u);
  EXPECT_EQ(header->get<&ipv4::flags>(), 0u);
  EXPECT_EQ(header->get<&ipv4::fragment_offset>(), 0u);
  EXPECT_TRUE(verify_checksum(header->header()));
}

TEST_F(reassembly_test, what_is_no_fragment_passes_as_it_is) {
  const std::string lone = bytes_of({.end = 100, .more = false}, truth(0, 100));
  EXPECT_EQ(add_bytes(lone), lone);
  EXPECT_EQ(parts.deadline(), never);
}

TEST_F(reassembly_test, datagrams_are_told_apart_by_all_four_fields) {
  const piece first{.begin = 0, .end = 8};
  EXPECT_EQ(add(first), "");
  EXPECT_EQ(add({.begin = 8, .end = 16, .more = false, .identification = 2}), "");
  EXPECT_EQ(add({.begin = 8, .end = 16, .more = false, .source = ip("10.0.0.3").ipv4()}), "");
  EXPECT_EQ(add({.begin = 8, .end = 16, .more = false, .protocol = ip_protocol::icmp}), "");
  EXPECT_EQ(payload_of(add({.begin = 8, .end = 16, .more = false})), truth(0, 16));
}

TEST_F(reassembly_test, the_longest_datagram_fits_and_one_byte_more_does_not) {
  add({.begin = 0, .end = 40'000});
  EXPECT_EQ(payload_of(add({.begin = 40'000, .end = longest_payload, .more = false})).size(), longest_payload);
  EXPECT_EQ(fragments_dropped(), 0u);
  add({.begin = 0, .end = 40'000, .identification = 2});
  EXPECT_EQ(add({.begin = 40'000, .end = longest_payload + 1, .more = false, .identification = 2}), "");
  EXPECT_EQ(add({.begin = 65'528, .end = 65'536, .more = false, .identification = 2}), "");  // the ping of death
  EXPECT_EQ(fragments_dropped(), 2u);
}

// The first fragment's header may be longer than that of the one that made it so long.
TEST_F(reassembly_test, options_count_for_the_longest_datagram) {
  add({.begin = 40'000, .end = longest_payload, .more = false});
  EXPECT_EQ(add({.begin = 0, .end = 40'000, .options = std::string(4, '\1')}), "");
  EXPECT_EQ(fragments_dropped(), 2u);
  EXPECT_EQ(large.out(), 0u);
}

TEST_F(reassembly_test, what_is_malformed_is_dropped_alone) {
  EXPECT_EQ(add({.begin = 0, .end = 16}), "");
  EXPECT_EQ(add({.begin = 16, .end = 23}), "");                 // not a multiple of eight, and not the last
  EXPECT_EQ(add({.begin = 16, .end = 16}), "");                 // empty
  EXPECT_EQ(add({.begin = 16, .end = 16, .more = false}), "");  // empty, and the last
  EXPECT_EQ(fragments_dropped(), 3u);
  EXPECT_EQ(payload_of(add({.begin = 16, .end = 23, .more = false})), truth(0, 23));
}

TEST_F(reassembly_test, duplicates_change_nothing) {
  EXPECT_EQ(add({.begin = 0, .end = 32}), "");
  EXPECT_EQ(add({.begin = 0, .end = 32}), "");
  EXPECT_EQ(add({.begin = 8, .end = 16}), "");  // within what came, as after another router's fragmentation
  EXPECT_EQ(add_bytes(bytes_of({.begin = 0, .end = 32}, std::string(32, 'x'))), "");  // what came first stays
  EXPECT_EQ(fragments_dropped(), 3u);
  EXPECT_EQ(payload_of(add({.begin = 32, .end = 40, .more = false})), truth(0, 40));
}

// RFC 5722 4, for IPv4 as Linux does it; among them the attacks of RFC 1858 and RFC 3128, which rewrite a header.
TEST_F(reassembly_test, overlaps_and_contradictions_discard_the_datagram) {
  const struct {
    const char* what;
    piece first, second;
  } rows[] = {
      {"overlaps the end", {.begin = 0, .end = 16}, {.begin = 8, .end = 24}},
      {"overlaps the start", {.begin = 8, .end = 24}, {.begin = 0, .end = 16}},
      {"covers it", {.begin = 8, .end = 16}, {.begin = 0, .end = 24}},
      {"begins alike and is longer", {.begin = 0, .end = 8}, {.begin = 0, .end = 16}},
      {"beyond the end", {.begin = 8, .end = 16, .more = false}, {.begin = 16, .end = 24}},
      {"beyond the end, with a gap", {.begin = 8, .end = 16, .more = false}, {.begin = 80, .end = 88}},
      {"an end before what came", {.begin = 80, .end = 88}, {.begin = 16, .end = 24, .more = false}},
      {"a later end", {.begin = 8, .end = 16, .more = false}, {.begin = 16, .end = 24, .more = false}},
      {"an earlier end", {.begin = 24, .end = 32, .more = false}, {.begin = 16, .end = 24, .more = false}},
  };
  for (const auto& row : rows) {
    const std::uint64_t before = fragments_dropped();
    EXPECT_EQ(add(row.first), "") << row.what;
    EXPECT_EQ(add(row.second), "") << row.what;
    EXPECT_EQ(fragments_dropped(), before + 2) << row.what;
    EXPECT_EQ(large.out(), 0u) << row.what;
    for (const piece& p : {piece{.begin = 0, .end = 8}, piece{.begin = 8, .end = 16}, piece{.begin = 16, .end = 24},
                           piece{.begin = 24, .end = 32, .more = false}}) {
      EXPECT_EQ(add(p), "") << row.what;  // RFC 5722: those not yet received as well
    }
    EXPECT_EQ(fragments_dropped(), before + 6) << row.what;
    now += 30 * second;
    parts.advance(now);
  }
  EXPECT_TRUE(told.empty());
}

// Its length adds up, and yet there is a hole.
TEST_F(reassembly_test, pieces_beyond_the_end_do_not_fill_a_hole) {
  add({.begin = 80, .end = 88});
  add({.begin = 0, .end = 8});
  EXPECT_EQ(add({.begin = 16, .end = 24, .more = false}), "");
}

TEST_F(reassembly_test, is_given_up_after_thirty_seconds) {
  const std::string first = bytes_of({.begin = 0, .end = 24}, truth(0, 24));
  add_bytes(first);
  EXPECT_EQ(parts.deadline(), now + 30 * second);
  now += 20 * second;
  add({.begin = 32, .end = 40});
  add({.begin = 24, .end = 32, .identification = 2});
  EXPECT_EQ(parts.deadline(), now + 10 * second);  // more fragments don't prolong it
  now += 10 * second;
  parts.advance(now - 1);
  EXPECT_TRUE(told.empty());
  parts.advance(now);
  EXPECT_EQ(told, std::vector<std::string>{first});  // as it came
  EXPECT_EQ(dropped(count, drop::fragment_timeout), 2u);
  EXPECT_EQ(parts.deadline(), now + 20 * second);
  now += 20 * second;
  parts.advance(now);
  EXPECT_EQ(told.size(), 1u);  // RFC 1122 3.3.2: not told without the first
  EXPECT_EQ(dropped(count, drop::fragment_timeout), 3u);
  EXPECT_EQ(parts.deadline(), never);
  EXPECT_EQ(large.out(), 0u);
}

TEST_F(reassembly_test, rfc3168_5_3_congestion_marks) {
  const struct {
    std::uint8_t first, second;
    int whole;  // -1: discarded
  } rows[] = {{0, 0, 0}, {1, 1, 1}, {2, 2, 2},  {3, 3, 3},  {2, 3, 3},  {3, 2, 3},
              {1, 3, 3}, {2, 1, 2}, {0, 3, -1}, {3, 0, -1}, {0, 2, -1}, {1, 0, -1}};
  for (const auto& row : rows) {
    const std::uint64_t before = fragments_dropped();
    add({.begin = 0, .end = 8, .ecn = row.first});
    const std::string whole = add({.begin = 8, .end = 16, .more = false, .ecn = row.second});
    EXPECT_EQ(whole.empty() ? -1 : whole[1] & 3, row.whole) << int{row.first} << int{row.second};
    EXPECT_EQ(fragments_dropped() - before, whole.empty() ? 2u : 0u);
    if (!whole.empty()) {
      EXPECT_TRUE(verify_checksum(std::as_bytes(std::span(whole).first(20))));
    }
  }
}

TEST_F(reassembly_test, a_flood_displaces_the_oldest_and_stays_bounded) {
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    now += microsecond;
    add({.begin = 8, .end = 16, .source = ipv4_address::from_number(0x0b000000 + i)});
    EXPECT_LE(large.out(), 64u);
  }
  EXPECT_EQ(fragments_dropped(), 10'000u - 64u);
  const ipv4_address newest = ipv4_address::from_number(0x0b000000 + 9'999);
  add({.begin = 0, .end = 8, .source = newest});
  EXPECT_EQ(payload_of(add({.begin = 16, .end = 24, .more = false, .source = newest})), truth(0, 24));
}

TEST_F(reassembly_test, a_flood_from_one_source_leaves_the_others_their_places) {
  add({.begin = 0, .end = 8});
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    now += microsecond;
    add({.begin = 8, .end = 16, .identification = static_cast<std::uint16_t>(i), .source = ip("10.0.0.66").ipv4()});
    EXPECT_LE(large.out(), 17u);
  }
  EXPECT_EQ(payload_of(add({.begin = 8, .end = 16, .more = false})), truth(0, 16));
}

TEST_F(reassembly_test, pieces_that_do_not_touch_are_bounded) {
  for (std::uint32_t i = 0; i < 64; ++i) add({.begin = 8 + 16 * i, .end = 16 + 16 * i});
  EXPECT_EQ(fragments_dropped(), 0u);
  add({.begin = 16, .end = 24});  // closes a gap
  add({.begin = 8 + 16 * 64, .end = 16 + 16 * 64});
  EXPECT_EQ(fragments_dropped(), 0u);
  add({.begin = 8 + 16 * 65, .end = 16 + 16 * 65});
  EXPECT_EQ(fragments_dropped(), 67u);
  EXPECT_EQ(large.out(), 0u);
}

TEST_F(reassembly_test, without_large_frames_fragments_are_dropped) {
  std::vector<packet*> taken;
  while (packet* p = large.pool().take()) taken.push_back(p);
  EXPECT_EQ(add({.begin = 0, .end = 8}), "");
  EXPECT_EQ(dropped(count, drop::no_memory), 1u);
  EXPECT_EQ(fragments_dropped(), 0u);
  for (packet* p : taken) release(p);
  EXPECT_EQ(add({.begin = 0, .end = 8}), "");
  EXPECT_EQ(payload_of(add({.begin = 8, .end = 16, .more = false})), truth(0, 16));
}

TEST_F(reassembly_test, unfinished_datagrams_give_their_frames_back_at_the_end) { add({.begin = 0, .end = 8}); }

TEST_F(reassembly_test, any_datagram_cut_anywhere_arrives_whole) {
  random_source random(9);
  for (std::uint32_t round = 0; round < 300; ++round) {
    const std::uint32_t size = 16 + random.below(longest_payload - 16),
                        step = std::max(8u, size / (1 + random.below(60)) & ~7u);
    std::vector<piece> pieces;
    for (std::uint32_t at = 0; at < size; at += step) {
      pieces.push_back({.begin = at,
                        .end = std::min(at + step, size),
                        .more = at + step < size,
                        .identification = static_cast<std::uint16_t>(round)});
    }
    if (pieces.size() == 1) continue;
    for (std::size_t i = pieces.size(); i > 1; --i)
      std::swap(pieces[i - 1], pieces[random.below(static_cast<std::uint32_t>(i))]);
    pieces.insert(pieces.begin(), pieces.front());  // once more
    for (std::size_t i = 0; i + 1 < pieces.size(); ++i) ASSERT_EQ(add(pieces[i]), "") << round;
    ASSERT_EQ(payload_of(add(pieces.back())), truth(0, size)) << round;
  }
}

// Anything may come; a datagram that is delivered has no byte that no fragment brought.
TEST_F(reassembly_test, no_hostile_mixture_delivers_what_never_came) {
  random_source random(11);
  std::size_t delivered = 0;
  for (int step = 0; step < 300'000; ++step) {
    const std::uint32_t begin = 8 * random.below(6),
                        size = random.below(4) == 0 ? random.below(40) : 8 * (1 + random.below(3));
    const std::string whole = add({.begin = begin,
                                   .end = begin + size,
                                   .more = random.below(3) != 0,
                                   .identification = static_cast<std::uint16_t>(random.below(50)),
                                   .source = ipv4_address::from_number(0x0a000002 + random.below(6)),
                                   .ecn = static_cast<std::uint8_t>(random.below(20) == 0 ? random.below(4) : 2)});
    if (random.below(100) == 0) parts.advance(now += second);
    if (whole.empty()) continue;
    ++delivered;
    ASSERT_EQ(payload_of(whole), truth(0, static_cast<std::uint32_t>(whole.size() - 20))) << step;
    ASSERT_LE(large.out(), 64u);
  }
  EXPECT_GT(delivered, 1000u);
}

}  // namespace
}  // namespace fastudp
