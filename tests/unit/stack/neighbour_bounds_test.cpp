// A neighbour table under more than it has room for: floods of forged requests, too many destinations, too many
// packets.

#include <gtest/gtest.h>

#include <cerrno>

#include "unit/stack/neighbours_support.h"

namespace fastudp {
namespace {

using enum neighbour_state;
using test::dropped;
using test::mac_of;
using test::neighbour_world;

const ip_address peer = test::ip("10.0.0.2"), other = test::ip("10.0.0.3");
constexpr mac_address mac_a = mac_of(0xa), mac_b = mac_of(0xb);

ip_address stranger(std::uint32_t i) { return ipv4_address::from_number(0x0b000000 + i); }

void flood(neighbour_world& world, std::uint32_t count = 100'000) {
  for (std::uint32_t i = 0; i < count; ++i) {
    world.now += microsecond;
    world.table.heard(stranger(i), mac_b, heard_as::request_to_us, world.now);
  }
}

TEST(neighbour_floods, forged_requests_fill_the_table_and_no_more) {
  neighbour_world world(64);
  flood(world);
  EXPECT_EQ(world.table.size(), 64u);
  EXPECT_EQ(world.wishes(), "");
  EXPECT_EQ(world.state(stranger(99'999)), stale);
  EXPECT_EQ(world.state(stranger(0)), none);
  EXPECT_EQ(world.table.deadline(), never);
}

TEST(neighbour_floods, the_true_peer_still_resolves) {
  neighbour_world world(64);
  flood(world);
  ASSERT_NE(world.table.use(peer, world.now), nullptr);
  world.park(peer, "parked");
  flood(world);
  world.table.heard(peer, mac_a, heard_as::solicited_reply, world.now);
  EXPECT_EQ(world.state(peer), reachable);
  EXPECT_EQ(world.sent.size(), 1u);
  flood(world);
  EXPECT_EQ(world.table.find(peer)->mac, mac_a);
}

TEST(neighbour_floods, a_stranger_displaces_nothing_that_was_ever_wanted) {
  neighbour_world world(4);
  const ip_address wanted[] = {stranger(1'000'000), stranger(1'000'001), stranger(1'000'002), stranger(1'000'003)};
  for (const ip_address& address : wanted) world.resolve(address, mac_a);
  while (world.table.deadline() != never) world.ring();
  flood(world, 1000);
  for (const ip_address& address : wanted) EXPECT_EQ(world.state(address), stale);
}

// Whoever makes us answer forged addresses on the link makes us look for them.
TEST(neighbour_floods, wanted_addresses_that_do_not_exist_leave_room_for_those_that_do) {
  neighbour_world world(64);
  world.resolve(peer, mac_a);
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    ASSERT_NE(world.table.use(stranger(i), world.now), nullptr);
    world.park(stranger(i), "to nobody");
    if (i % 1000 == 0) world.resolve(stranger(1'000'000 + i / 1000 % 32), mac_a);
  }
  EXPECT_EQ(world.table.size(), 64u);
  EXPECT_EQ(world.state(peer), reachable);
  for (std::uint32_t i = 0; i < 32; ++i) EXPECT_EQ(world.state(stranger(1'000'000 + i)), reachable);
  EXPECT_EQ(world.table.parked(), world.pool.out());
  EXPECT_EQ(dropped(world.count, drop::neighbour_table) + world.table.parked(), 100'000u);
}

TEST(neighbour_room, is_made_by_strangers_first_then_by_the_longest_unused_then_by_the_longest_wait) {
  neighbour_world world(3);
  const ip_address a = stranger(1), b = stranger(2), c = stranger(3);
  world.resolve(a, mac_a);
  world.ring();  // a is stale
  world.resolve(b, mac_a);
  world.ring();  // so is b
  world.table.heard(c, mac_a, heard_as::request_to_us, world.now);
  world.table.use(stranger(4), world.now);
  EXPECT_EQ(world.state(c), none);
  EXPECT_EQ(world.state(a), stale);
  world.table.use(stranger(5), world.now);
  EXPECT_EQ(world.state(a), none);
  EXPECT_EQ(world.state(b), stale);
  world.table.use(stranger(6), world.now);
  EXPECT_EQ(world.state(b), none);
  world.table.use(stranger(7), world.now);
  EXPECT_EQ(world.state(stranger(4)), none);
  EXPECT_EQ(world.state(stranger(5)), incomplete);
}

TEST(neighbour_room, a_stranger_that_was_wanted_is_none) {
  neighbour_world world(2);
  world.table.heard(peer, mac_a, heard_as::request_to_us, world.now);
  world.table.use(peer, world.now);
  while (world.state(peer) != probe) world.ring();
  world.table.heard(peer, mac_a, heard_as::solicited_reply, world.now);
  while (world.state(peer) != stale) world.ring();
  flood(world, 100);
  EXPECT_EQ(world.state(peer), stale);
}

TEST(neighbour_room, there_is_none_when_all_are_in_use) {
  neighbour_world world(4);
  world.resolve(stranger(1), mac_a);  // reachable
  ASSERT_TRUE(world.table.set(stranger(2), mac_a, neighbour_state::permanent));
  world.table.heard(stranger(3), mac_a, heard_as::request_to_us, world.now), world.table.use(stranger(3), world.now);
  world.now += 5 * second;
  world.table.advance(world.now);  // probed
  world.table.heard(stranger(4), mac_a, heard_as::request_to_us, world.now), world.table.use(stranger(4), world.now);
  EXPECT_EQ(world.state(stranger(1)), reachable);
  EXPECT_EQ(world.state(stranger(3)), probe);
  EXPECT_EQ(world.state(stranger(4)), delay);
  EXPECT_EQ(world.table.use(peer, world.now), nullptr);
  EXPECT_EQ(world.table.set(peer, mac_a, neighbour_state::permanent).code(), ENOSPC);
  world.table.heard(peer, mac_a, heard_as::request_to_us, world.now);
  EXPECT_EQ(world.state(peer), none);
  EXPECT_TRUE(world.table.set(stranger(3), mac_b, neighbour_state::permanent));  // has its place already
  EXPECT_TRUE(world.table.remove(stranger(2)));
  EXPECT_NE(world.table.use(peer, world.now), nullptr);
}

TEST(neighbour_parking, keeps_the_order) {
  neighbour_world world;
  world.table.use(peer, world.now);
  for (int i = 0; i < 10; ++i) world.park(peer, std::to_string(i));
  EXPECT_EQ(world.table.parked(), 10u);
  world.table.heard(peer, mac_a, heard_as::solicited_reply, world.now);
  ASSERT_EQ(world.sent.size(), 10u);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(world.sent[i], std::to_string(i));
  EXPECT_EQ(world.table.parked(), 0u);
}

// As many as Linux 6.18 keeps of UDP datagrams with 10, 100, 200, 600, 1400 and 1472 bytes (unres_qlen_bytes 212992).
TEST(neighbour_parking, keeps_as_many_as_linux_and_drops_the_oldest) {
  constexpr struct {
    std::uint32_t payload, kept;
  } rows[] = {{10, 256}, {100, 256}, {200, 166}, {600, 166}, {1400, 92}, {1472, 92}};
  for (const auto& row : rows) {
    neighbour_world world;
    world.table.use(peer, world.now);
    for (unsigned i = 0; i < 600; ++i)
      world.park(peer, std::to_string(1000 + i) + std::string(row.payload + 42 - 4, '.'));
    EXPECT_EQ(world.table.parked(), row.kept);
    EXPECT_EQ(dropped(world.count, drop::neighbour_queue), 600 - row.kept);
    world.table.heard(peer, mac_a, heard_as::solicited_reply, world.now);
    EXPECT_EQ(world.sent.front().substr(0, 4), std::to_string(1600 - row.kept));
    EXPECT_EQ(world.sent.back().substr(0, 4), "1599");
  }
}

TEST(neighbour_parking, is_bounded_over_the_table) {
  neighbour_world world(64, 10);
  for (std::uint32_t i = 0; i < 40; ++i) {
    world.table.use(stranger(i), world.now);
    world.park(stranger(i), std::to_string(i));
    EXPECT_LE(world.table.parked(), 10u);
  }
  EXPECT_EQ(world.pool.out(), 10u);
  EXPECT_EQ(dropped(world.count, drop::neighbour_queue), 30u);
  world.table.heard(stranger(29), mac_a, heard_as::solicited_reply, world.now);
  EXPECT_TRUE(world.sent.empty());  // the longest wait made room
  world.table.heard(stranger(30), mac_a, heard_as::solicited_reply, world.now);
  EXPECT_EQ(world.sent, std::vector<std::string>{"30"});
}

TEST(neighbour_parking, one_neighbour_with_many_takes_nothing_from_the_others) {
  neighbour_world world(64, 10);
  world.table.use(peer, world.now), world.park(peer, "mine");
  world.table.use(other, world.now);
  for (int i = 0; i < 1000; ++i) world.park(other, std::to_string(i));
  EXPECT_EQ(world.table.parked(), 10u);
  world.table.heard(peer, mac_a, heard_as::solicited_reply, world.now);
  EXPECT_EQ(world.sent, std::vector<std::string>{"mine"});
}

// Who is told that a neighbour failed may send again at once.
TEST(neighbour_parking, a_failed_neighbour_may_be_wanted_while_its_packets_are_given_up) {
  neighbour_world world;
  world.use_when_lost = &peer;
  world.table.use(peer, world.now);
  for (int i = 0; i < 3; ++i) world.park(peer, "parked");
  for (int i = 0; i < 3; ++i) world.ring();
  EXPECT_EQ(world.lost.size(), 3u);
  EXPECT_EQ(world.state(peer), incomplete);
  EXPECT_EQ(world.asked.size(), 4u);
  EXPECT_EQ(world.table.parked(), 0u);
}

TEST(neighbour_parking, the_table_takes_its_packets_along) {
  neighbour_world world;
  for (std::uint32_t i = 0; i < 5; ++i) world.table.use(stranger(i), world.now), world.park(stranger(i), "parked");
}

// Anything in any order: what is parked is accounted for, and whatever is in use stays reachable by its address.
TEST(neighbour_table, stays_consistent_whatever_happens) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    neighbour_world world(16, 20, seed);
    random_source random(seed);
    for (int step = 0; step < 10'000; ++step) {
      const ip_address address = stranger(random.below(40));
      const mac_address mac = mac_of(1 + random.below(3));
      switch (random.below(8)) {
        case 0:
          world.table.advance(world.now += random.below(3'000) * millisecond);
          break;
        case 1:
          world.table.confirm(address, world.now);
          break;
        case 2:
          if (random.below(20) == 0) (void)world.table.set(address, mac, neighbour_state::permanent);
          break;
        case 3:
          if (random.below(4) == 0) (void)world.table.remove(address);
          break;
        case 4:
        case 5:
          world.table.heard(address, mac, static_cast<heard_as>(random.below(4)), world.now);
          break;
        default:
          if (world.table.use(address, world.now) == nullptr) break;
          ASSERT_NE(world.table.find(address), nullptr);
          if (world.state(address) == incomplete) world.park(address, "parked");
      }
      ASSERT_EQ(world.table.parked(), world.pool.out()) << "seed " << seed << ", step " << step;
      ASSERT_LE(world.table.parked(), 20u);
      std::uint32_t found = 0;
      for (std::uint32_t i = 0; i < 40; ++i) found += world.table.find(stranger(i)) != nullptr;
      ASSERT_EQ(found, world.table.size());
      ASSERT_LE(found, 16u);
      ASSERT_GT(world.table.deadline(), world.now);
    }
  }
}

}  // namespace
}  // namespace fastudp
