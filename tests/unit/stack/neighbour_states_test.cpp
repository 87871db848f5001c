// The state machine of a neighbour (RFC 4861 7.3 and appendix C, with Linux's parameters for ARP), as one table: what
// each event does in each state. A test per row, and what the table can't say below it.

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <functional>

#include "unit/stack/neighbours_support.h"

namespace fastudp {
namespace {

using enum neighbour_state;
using test::mac_of;
using test::neighbour_world;

const ip_address peer = test::ip("10.0.0.2");
constexpr mac_address mac_a = mac_of(0xa), mac_b = mac_of(0xb);

// How an entry is when something happens to it. Where its address on the link is known, it is A.
enum class given {
  absent,
  incomplete,
  incomplete_asked_thrice,
  reachable,
  stale,
  delay,
  probe,
  probe_asked_thrice,
  failed,
  permanent
};
constexpr const char* given_names[] = {"none",  "INCOMPLETE", "INCOMPLETE, third second", "REACHABLE", "STALE",
                                       "DELAY", "PROBE",      "PROBE, third second",      "FAILED",    "PERMANENT"};

void bring_to(given wanted, neighbour_world& world) {
  switch (wanted) {
    case given::absent:
      return;
    case given::permanent:
      return (void)world.table.set(peer, mac_a, neighbour_state::permanent);
    case given::incomplete:
      world.table.use(peer, world.now);
      return world.park(peer, "parked");
    case given::incomplete_asked_thrice:
      bring_to(given::incomplete, world);
      break;
    case given::failed:
      bring_to(given::incomplete_asked_thrice, world);
      return world.ring();
    case given::reachable:
      return world.resolve(peer, mac_a);
    case given::stale:
      bring_to(given::reachable, world);
      return world.ring();
    case given::delay:
      bring_to(given::stale, world);
      return (void)world.table.use(peer, world.now);
    case given::probe:
      bring_to(given::delay, world);
      return world.ring();
    case given::probe_asked_thrice:
      bring_to(given::probe, world);
      break;
  }
  world.ring(), world.ring();
}

struct event {
  const char* name;
  std::function<void(neighbour_world&)> happen;
};

event heard(const char* name, mac_address mac, heard_as how) {
  return {name, [=](neighbour_world& world) {
            world.now = std::min(world.now + neighbour_table::lock_time, world.table.deadline());
            world.table.heard(peer, mac, how, world.now);
          }};
}

const event use{"a sender wants it", [](neighbour_world& world) { world.table.use(peer, world.now); }};
const event timer{"its time is over", [](neighbour_world& world) { world.ring(); }};
const event confirm{"confirmed from above", [](neighbour_world& world) { world.table.confirm(peer, world.now); }};
const event set_b{"made permanent at B", [](neighbour_world& world) {
                    ASSERT_TRUE(world.table.set(peer, mac_b, neighbour_state::permanent));
                  }};
const event remove_it{"removed", [](neighbour_world& world) { (void)world.table.remove(peer); }};
const event reply_a = heard("reply to us from A", mac_a, heard_as::solicited_reply);
const event reply_b = heard("reply to us from B", mac_b, heard_as::solicited_reply);
const event other_reply_a = heard("other reply from A", mac_a, heard_as::other_reply);
const event other_reply_b = heard("other reply from B", mac_b, heard_as::other_reply);
const event request_a = heard("request to us from A", mac_a, heard_as::request_to_us);
const event request_b = heard("request to us from B", mac_b, heard_as::request_to_us);
const event other_request_a = heard("other request from A", mac_a, heard_as::other_request);
const event other_request_b = heard("other request from B", mac_b, heard_as::other_request);

struct row {
  given before;
  const event& what;
  neighbour_state after;
  const char* wishes;
};

const row rows[] = {
    {given::absent, use, incomplete, "ask all"},
    {given::absent, reply_a, none, ""},
    {given::absent, other_reply_a, none, ""},
    {given::absent, request_a, stale, ""},
    {given::absent, other_request_a, none, ""},
    {given::absent, confirm, none, ""},
    {given::absent, set_b, permanent, "changed"},
    {given::absent, remove_it, none, ""},

    {given::incomplete, use, incomplete, ""},
    {given::incomplete, timer, incomplete, "ask all"},
    {given::incomplete, reply_a, reachable, "changed, send to A"},
    {given::incomplete, other_reply_a, stale, "changed, send to A"},
    {given::incomplete, request_a, stale, "changed, send to A"},
    {given::incomplete, other_request_a, stale, "changed, send to A"},
    {given::incomplete, confirm, incomplete, ""},
    {given::incomplete, set_b, permanent, "changed, send to B"},
    {given::incomplete, remove_it, none, "changed, unreachable"},

    {given::incomplete_asked_thrice, use, incomplete, ""},
    {given::incomplete_asked_thrice, timer, failed, "unreachable"},
    {given::incomplete_asked_thrice, reply_a, reachable, "changed, send to A"},

    {given::reachable, use, reachable, ""},
    {given::reachable, timer, stale, "changed"},
    {given::reachable, reply_a, reachable, ""},
    {given::reachable, reply_b, stale, "changed"},
    {given::reachable, other_reply_a, reachable, ""},
    {given::reachable, other_reply_b, stale, "changed"},
    {given::reachable, request_a, reachable, ""},
    {given::reachable, request_b, stale, "changed"},
    {given::reachable, other_request_a, reachable, ""},
    {given::reachable, other_request_b, stale, "changed"},
    {given::reachable, confirm, reachable, ""},
    {given::reachable, set_b, permanent, "changed"},
    {given::reachable, remove_it, none, "changed"},

    {given::stale, use, delay, ""},
    {given::stale, reply_a, stale, ""},
    {given::stale, reply_b, stale, "changed"},
    {given::stale, other_reply_a, stale, ""},
    {given::stale, other_reply_b, stale, "changed"},
    {given::stale, request_a, stale, ""},
    {given::stale, request_b, stale, "changed"},
    {given::stale, other_request_a, stale, ""},
    {given::stale, other_request_b, stale, "changed"},
    {given::stale, confirm, reachable, ""},
    {given::stale, set_b, permanent, "changed"},
    {given::stale, remove_it, none, "changed"},

    {given::delay, use, delay, ""},
    {given::delay, timer, probe, "ask A"},
    {given::delay, reply_a, delay, ""},
    {given::delay, reply_b, stale, "changed"},
    {given::delay, other_reply_a, delay, ""},
    {given::delay, other_reply_b, stale, "changed"},
    {given::delay, request_a, delay, ""},
    {given::delay, request_b, stale, "changed"},
    {given::delay, other_request_a, delay, ""},
    {given::delay, other_request_b, stale, "changed"},
    {given::delay, confirm, reachable, ""},
    {given::delay, set_b, permanent, "changed"},
    {given::delay, remove_it, none, "changed"},

    {given::probe, use, probe, ""},
    {given::probe, timer, probe, "ask A"},
    {given::probe, reply_a, reachable, ""},
    {given::probe, reply_b, reachable, "changed"},
    {given::probe, other_reply_a, probe, ""},
    {given::probe, other_reply_b, stale, "changed"},
    {given::probe, request_a, probe, ""},
    {given::probe, request_b, stale, "changed"},
    {given::probe, other_request_a, probe, ""},
    {given::probe, other_request_b, stale, "changed"},
    {given::probe, confirm, reachable, ""},
    {given::probe, set_b, permanent, "changed"},
    {given::probe, remove_it, none, "changed"},

    {given::probe_asked_thrice, timer, failed, "changed"},
    {given::probe_asked_thrice, reply_a, reachable, ""},

    {given::failed, use, incomplete, "ask all"},
    {given::failed, timer, none, ""},
    {given::failed, reply_a, failed, ""},
    {given::failed, other_reply_a, failed, ""},
    {given::failed, request_a, stale, "changed"},
    {given::failed, other_request_a, failed, ""},
    {given::failed, confirm, failed, ""},
    {given::failed, set_b, permanent, "changed"},
    {given::failed, remove_it, none, "changed"},

    {given::permanent, use, permanent, ""},
    {given::permanent, reply_b, permanent, ""},
    {given::permanent, other_reply_b, permanent, ""},
    {given::permanent, request_b, permanent, ""},
    {given::permanent, other_request_b, permanent, ""},
    {given::permanent, confirm, permanent, ""},
    {given::permanent, set_b, permanent, "changed"},
    {given::permanent, remove_it, none, "changed"},
};

class neighbour_states : public testing::TestWithParam<row> {};

TEST_P(neighbour_states, row) {
  const row& r = GetParam();
  const char* before = given_names[static_cast<std::size_t>(r.before)];
  std::printf("| %-24s | %-20s | %-10s | %-20s |\n", before, r.what.name, test::name_of(r.after), r.wishes);
  neighbour_world world;
  bring_to(r.before, world);
  world.wishes();
  r.what.happen(world);
  EXPECT_EQ(world.state(peer), r.after);
  EXPECT_EQ(world.wishes(), r.wishes);
}

INSTANTIATE_TEST_SUITE_P(table, neighbour_states, testing::ValuesIn(rows));

// What is known of where a neighbour is follows whoever was believed.
TEST(neighbour_mac, is_the_one_that_was_believed) {
  neighbour_world world;
  world.resolve(peer, mac_a);
  EXPECT_EQ(world.table.find(peer)->mac, mac_a);
  world.now += second;
  world.table.heard(peer, mac_b, heard_as::other_reply, world.now);
  EXPECT_EQ(world.table.find(peer)->mac, mac_b);
}

// Of two answers to one question the first counts (Linux's locktime), also when the second is from who asked us.
TEST(neighbour_mac, does_not_change_twice_within_a_second) {
  for (const heard_as how :
       {heard_as::solicited_reply, heard_as::other_reply, heard_as::request_to_us, heard_as::other_request}) {
    neighbour_world world;
    world.resolve(peer, mac_a);
    world.now += second - 1;
    world.table.heard(peer, mac_b, how, world.now);
    EXPECT_EQ(world.table.find(peer)->mac, mac_a);
    EXPECT_EQ(world.state(peer), reachable);
    world.now += 1;
    world.table.heard(peer, mac_b, how, world.now);
    EXPECT_EQ(world.table.find(peer)->mac, mac_b);
  }
}

// The peer asked us while we asked it: its answer is still one.
TEST(neighbour_solicited, a_reply_proves_reachability_once) {
  neighbour_world world;
  world.table.use(peer, world.now);
  world.table.heard(peer, mac_a, heard_as::request_to_us, world.now);
  EXPECT_EQ(world.state(peer), stale);
  world.table.heard(peer, mac_a, heard_as::solicited_reply, world.now);
  EXPECT_EQ(world.state(peer), reachable);
  world.ring();
  EXPECT_EQ(world.state(peer), stale);
  world.table.heard(peer, mac_a, heard_as::solicited_reply, world.now);
  EXPECT_EQ(world.state(peer), stale);
}

TEST(neighbour_solicited, a_reply_proves_nothing_after_the_question_was_given_up) {
  neighbour_world world;
  bring_to(given::failed, world);
  world.table.heard(peer, mac_a, heard_as::request_to_us, world.now);
  world.table.heard(peer, mac_a, heard_as::solicited_reply, world.now);
  EXPECT_EQ(world.state(peer), stale);
}

TEST(neighbour_times, unanswered_three_requests_a_second_apart_then_failed) {
  neighbour_world world;
  const time_point start = world.now;
  world.table.use(peer, start);
  world.park(peer, "parked");
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(world.asked.size(), static_cast<std::size_t>(i));
    EXPECT_EQ(world.table.deadline(), start + i * second);
    world.table.advance(start + i * second - 1);
    EXPECT_EQ(world.state(peer), incomplete);
    EXPECT_EQ(world.asked.size(), static_cast<std::size_t>(i));
    world.table.advance(start + i * second);
  }
  EXPECT_EQ(world.state(peer), failed);
  EXPECT_EQ(world.asked.size(), 3u);
  EXPECT_EQ(world.lost.size(), 1u);
  EXPECT_EQ(world.table.deadline(), start + 63 * second);
}

TEST(neighbour_times, an_idle_neighbour_is_probed_only_when_wanted) {
  neighbour_world world;
  world.resolve(peer, mac_a);
  const time_point start = world.now;
  world.ring();
  EXPECT_GE(world.now - start, 15 * second);
  EXPECT_LT(world.now - start, 45 * second);
  EXPECT_EQ(world.table.deadline(), never);
  world.now += 1'000'000 * second;
  world.table.advance(world.now);
  EXPECT_EQ(world.state(peer), stale);
  world.table.use(peer, world.now);
  EXPECT_EQ(world.table.deadline(), world.now + 5 * second);
  world.ring();
  EXPECT_EQ(world.state(peer), probe);
  EXPECT_EQ(world.table.deadline(), world.now + second);
  EXPECT_EQ(world.asked.size(), 2u);
}

// RFC 4861 6.3.2
TEST(neighbour_times, reachable_time_is_spread_over_half_to_one_and_a_half) {
  neighbour_world world;
  std::array<int, 3> thirds{};
  for (int i = 0; i < 3000; ++i) {
    world.resolve(peer, mac_a);
    const duration lasts = world.table.deadline() - world.now;
    ASSERT_GE(lasts, 15 * second);
    ASSERT_LT(lasts, 45 * second);
    ++thirds[static_cast<std::size_t>((lasts - 15 * second) / (10 * second))];
    ASSERT_TRUE(world.table.remove(peer));
  }
  for (const int third : thirds) EXPECT_NEAR(third, 1000, 150);
}

TEST(neighbour_times, confirmation_postpones_the_end_of_reachability_and_never_hastens_it) {
  neighbour_world world;
  world.resolve(peer, mac_a);
  const time_point first = world.table.deadline();
  world.table.confirm(peer, world.now);
  EXPECT_EQ(world.table.deadline(), first);
  for (int i = 0; i < 100; ++i) {
    world.now += 10 * second;
    world.table.advance(world.now);
    world.table.confirm(peer, world.now);
    ASSERT_EQ(world.state(peer), reachable);
  }
  EXPECT_EQ(world.table.deadline(), world.now + 15 * second);
}

TEST(neighbour_times, a_late_timer_does_not_make_up_for_lost_requests) {
  neighbour_world world;
  world.table.use(peer, world.now);
  world.now += 1000 * second;
  world.table.advance(world.now);
  EXPECT_EQ(world.asked.size(), 2u);
  EXPECT_EQ(world.table.deadline(), world.now + second);
}

TEST(neighbour_errors, what_is_not_there_cannot_be_removed) {
  neighbour_world world;
  EXPECT_EQ(world.table.remove(peer).code(), ENOENT);
  ASSERT_TRUE(world.table.set(peer, mac_a, neighbour_state::permanent));
  EXPECT_EQ(world.table.size(), 1u);
  EXPECT_TRUE(world.table.remove(peer));
  EXPECT_EQ(world.table.size(), 0u);
  EXPECT_EQ(world.table.remove(peer).code(), ENOENT);
}

}  // namespace
}  // namespace fastudp
