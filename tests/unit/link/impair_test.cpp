// impair: how often, what exactly, in which order and when; and that the same seed gives the same network.

#include "link/wrap/impair.h"

#include <gmock/gmock.h>

#include <bit>
#include <numeric>
#include <set>

#include "unit/link/stub_link.h"

namespace fastudp::test {
namespace {

using testing::ElementsAreArray;
using testing::IsEmpty;
using wrap::impaired_link;
using wrap::impairment;

frame numbered(std::uint32_t i) {
  return ethernet(mac_of(2), mac_of(1), std::string(reinterpret_cast<const char*>(&i), sizeof i) + frame(40, '.'));
}

struct network {
  explicit network(const impairment& with, std::uint32_t frames = 1024) : inner(new stub_link(frames)) {
    at_rest = inner->frames().available();
    outer.adopt(impaired_link::around(link_ptr(inner), with, count));
  }
  ~network() { EXPECT_EQ(inner->frames().available(), at_rest); }
  void send(const frame& f) { outer.send(f); }
  void send_many(std::uint32_t n) {
    burst out;
    for (std::uint32_t i = 0; i < n;) {
      for (; i < n && out.room() != 0; ++i) out.append(outer.make(numbered(i)));
      out.forget_front(outer->tx_burst(out));
    }
    outer->tx_flush();
  }
  const wrap::impairment_counts& done() { return static_cast<impaired_link&>(*outer).done(); }
  std::uint64_t dropped(drop reason) const { return count.drops[static_cast<std::size_t>(reason)].get(); }

  counters count;
  stub_link* inner;
  host outer;
  std::uint32_t at_rest = 0;
};

std::vector<frame> numbered_up_to(std::uint32_t n) {
  std::vector<frame> out;
  for (std::uint32_t i = 0; i < n; ++i) out.push_back(numbered(i));
  return out;
}

// A device would make a good checksum of what was corrupted.
TEST(impair, has_frames_with_their_checksums_in_full) { EXPECT_FALSE(network({}).outer->sums_udp()); }

TEST(impair, a_good_network_changes_nothing) {
  network net({});
  net.send_many(1000);
  EXPECT_THAT(net.inner->sent, ElementsAreArray(numbered_up_to(1000)));
}

// The bounds are five standard deviations of a binomial distribution with n = 100,000.
TEST(impair, loss_is_as_frequent_as_asked_and_the_rest_is_in_order) {
  network net({.loss = 100'000});
  net.send_many(100'000);
  EXPECT_EQ(net.inner->sent.size() + net.done().lost, 100'000u);
  EXPECT_NEAR(static_cast<double>(net.done().lost), 10'000, 5 * 95);
  const auto all = numbered_up_to(100'000);
  auto at = all.begin();
  for (const auto& f : net.inner->sent) {
    at = std::find(at, all.end(), f);
    ASSERT_NE(at++, all.end());
  }
  EXPECT_EQ(net.dropped(drop::link_tx_full), 0u);
}

TEST(impair, nothing_or_everything_can_be_lost) {
  network none({.loss = 0}), all({.loss = 1'000'000});
  none.send_many(500);
  all.send_many(500);
  EXPECT_EQ(none.inner->sent.size(), 500u);
  EXPECT_THAT(all.inner->sent, IsEmpty());
}

TEST(impair, a_duplicate_follows_its_original) {
  network net({.duplicate = 1'000'000});
  net.send(numbered(1));
  net.send(numbered(2));
  EXPECT_THAT(net.inner->sent, ElementsAreArray({numbered(1), numbered(1), numbered(2), numbered(2)}));
}

TEST(impair, duplicates_are_as_frequent_as_asked) {
  network net({.duplicate = 10'000});
  net.send_many(100'000);
  EXPECT_NEAR(static_cast<double>(net.done().duplicated), 1000, 5 * 32);
  EXPECT_EQ(net.inner->sent.size(), 100'000 + net.done().duplicated);
}

TEST(impair, without_a_frame_for_the_copy_there_is_no_duplicate) {
  network net({.duplicate = 1'000'000}, 64);
  burst out;
  while (out.room() != 0) out.append(net.outer.make(numbered(1)));
  out.forget_front(net.outer->tx_burst(out));
  EXPECT_EQ(net.inner->sent.size(), 64 + net.done().duplicated);
  EXPECT_LT(net.done().duplicated, 64u);
}

int bits_between(const frame& a, const frame& b) {
  int out = 0;
  for (std::size_t i = 0; i < a.size(); ++i) out += std::popcount(static_cast<unsigned char>(a[i] ^ b[i]));
  return out;
}

TEST(impair, corruption_flips_one_bit_anywhere) {
  network net({.corrupt = 1'000'000});
  std::set<std::size_t> hit;
  net.send_many(5000);
  for (std::uint32_t i = 0; i < 5000; ++i) {
    const auto& got = net.inner->sent[i];
    ASSERT_EQ(got.size(), numbered(i).size());
    ASSERT_EQ(bits_between(got, numbered(i)), 1);
    hit.insert(
        static_cast<std::size_t>(std::mismatch(got.begin(), got.end(), numbered(i).begin()).first - got.begin()));
  }
  EXPECT_EQ(hit.size(), numbered(0).size());
}

TEST(impair, nobody_vouches_for_a_corrupted_frame) {
  network net({.corrupt = 1'000'000});
  burst out;
  out.append(net.outer.make(numbered(1)));
  out.packets()[0]->checksum = checksum_state::verified;
  out.forget_front(net.outer->tx_burst(out));
  EXPECT_EQ(net.inner->checksums.at(0), checksum_state::unknown);
}

TEST(impair, delayed_frames_leave_when_their_time_has_come_and_no_later_than_said) {
  network net({.delay = 10 * millisecond});
  net.outer->advance(1 * second);
  net.send(numbered(1));
  EXPECT_THAT(net.inner->sent, IsEmpty());
  EXPECT_EQ(net.outer->deadline(), 1 * second + 10 * millisecond);
  net.outer->advance(1 * second + 5 * millisecond);
  net.send(numbered(2));
  EXPECT_EQ(net.outer->deadline(), 1 * second + 10 * millisecond);
  net.outer->advance(1 * second + 10 * millisecond - 1);
  EXPECT_THAT(net.inner->sent, IsEmpty());
  const auto flushes = net.inner->flushes;
  net.outer->advance(1 * second + 10 * millisecond);
  EXPECT_THAT(net.inner->sent, ElementsAreArray({numbered(1)}));
  EXPECT_GT(net.inner->flushes, flushes);
  EXPECT_EQ(net.outer->deadline(), 1 * second + 15 * millisecond);
  net.outer->advance(2 * second);
  EXPECT_THAT(net.inner->sent, ElementsAreArray({numbered(1), numbered(2)}));
  EXPECT_EQ(net.outer->deadline(), never);
}

TEST(impair, delay_alone_keeps_the_order) {
  network net({.delay = millisecond}, 4096);
  net.send_many(1000);
  net.outer->advance(millisecond);
  EXPECT_THAT(net.inner->sent, ElementsAreArray(numbered_up_to(1000)));
}

TEST(impair, reordered_frames_are_overtaken_and_none_is_missing) {
  network net({.reorder = 250'000}, 4096);
  net.send_many(1000);
  EXPECT_NEAR(static_cast<double>(net.done().reordered), 250, 5 * 14);
  EXPECT_EQ(net.inner->sent.size() + net.done().reordered, 1000u);
  EXPECT_LE(net.outer->deadline(), impaired_link::longest_hold);
  net.outer->advance(impaired_link::longest_hold);
  auto got = net.inner->sent;
  EXPECT_FALSE(std::is_sorted(got.begin() + static_cast<std::ptrdiff_t>(1000 - net.done().reordered), got.end()));
  auto expected = numbered_up_to(1000);
  std::sort(got.begin(), got.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(got, expected);
}

TEST(impair, the_place_for_held_frames_is_bounded_and_what_exceeds_it_counted) {
  network net({.delay = second}, 256);
  for (std::uint32_t i = 0; i < 100; ++i) net.send(numbered(i));
  EXPECT_EQ(net.dropped(drop::link_tx_full), 100u - 64);
  net.outer->advance(second);
  EXPECT_THAT(net.inner->sent, ElementsAreArray(numbered_up_to(64)));
}

TEST(impair, frames_of_another_pool_are_held_as_copies) {
  network net({.delay = second});
  auto foreign = pool::create(8, 2048);
  burst out;
  for (std::uint32_t i = 0; i < 8; ++i) out.append(host::make_in(**foreign, numbered(i)));
  out.forget_front(net.outer->tx_burst(out));
  EXPECT_EQ((*foreign)->available(), 8u);
  net.outer->advance(second);
  EXPECT_THAT(net.inner->sent, ElementsAreArray(numbered_up_to(8)));
}

TEST(impair, frames_that_are_held_at_the_end_go_home) {
  auto* inner = new stub_link;
  counters count;
  host outer;
  outer.adopt(impaired_link::around(link_ptr(inner), {.delay = second}, count));
  for (std::uint32_t i = 0; i < 10; ++i) outer.send(numbered(i));
  EXPECT_LT(inner->frames().available(), inner->frames().count());
  outer.close();  // the sanitizers see what is touched after its pool is gone
}

TEST(impair, a_link_that_takes_little_loses_nothing) {
  network net({.duplicate = 200'000, .seed = 9});
  std::uint32_t offered = 0;
  burst out;
  std::vector<frame> expected;
  for (int round = 0; round < 400; ++round) {
    net.inner->takes = static_cast<std::size_t>(round % 7);
    while (offered < 600 && out.room() != 0) out.append(net.outer.make(numbered(offered++)));
    out.forget_front(net.outer->tx_burst(out));
    if (round % 3 == 0) net.outer->tx_flush();
  }
  net.inner->takes = 10'000;
  while (!out.empty()) out.forget_front(net.outer->tx_burst(out));
  net.outer->tx_flush();
  auto got = net.inner->sent;
  EXPECT_EQ(got.size(), 600 + net.done().duplicated);
  EXPECT_GT(net.done().duplicated, 50u);
  got.erase(std::unique(got.begin(), got.end()), got.end());
  EXPECT_EQ(got, numbered_up_to(600));
}

TEST(impair, what_the_link_did_not_take_is_due_at_once) {
  network net({.loss = 1});
  net.outer->advance(5 * second);
  net.inner->takes = 0;
  net.send(numbered(1));
  EXPECT_EQ(net.outer->deadline(), 5 * second);
  net.inner->takes = 1;
  net.outer->advance(5 * second + 1);
  EXPECT_THAT(net.inner->sent, ElementsAreArray({numbered(1)}));
  EXPECT_EQ(net.outer->deadline(), never);
}

std::vector<frame> outcome(std::uint64_t seed) {
  network net({.loss = 50'000, .duplicate = 50'000, .reorder = 100'000, .corrupt = 50'000, .delay = 100, .seed = seed});
  for (std::uint32_t i = 0; i < 2000; ++i) {
    net.outer->advance(i * microsecond);
    net.send(numbered(i));
  }
  net.outer->advance(second);
  return net.inner->sent;
}

TEST(impair, the_same_seed_is_the_same_network) {
  EXPECT_EQ(outcome(1), outcome(1));
  EXPECT_NE(outcome(1), outcome(2));
}

TEST(impair, passes_on_what_is_not_its_business) {
  network net({.delay = second});
  net.inner->to_receive = numbered_up_to(3);
  EXPECT_THAT(net.outer.receive(), ElementsAreArray(numbered_up_to(3)));
  EXPECT_EQ(net.outer->wait_fd(), 77);
  EXPECT_FALSE(net.outer->arm());
  EXPECT_TRUE(net.outer->arm());
  EXPECT_STREQ(net.outer->info().name, "stub:");
  net.inner->own_deadline = 42;
  EXPECT_EQ(net.outer->deadline(), 42);
  net.outer->advance(41);
  EXPECT_EQ(net.inner->time, 41);
}

}  // namespace
}  // namespace fastudp::test
