// ARP by the byte. The frames were made with Scapy: we are 02:00:00:00:00:01 with 10.0.0.1, the peer is ...:02 with
// 10.0.0.2.

#include "stack/arp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "unit/stack/stack_support.h"

namespace fastudp {
namespace {

using test::dropped;
using test::from_hex;
using test::ip;
using test::mac_of;

constexpr mac_address our_mac = mac_of(1), peer_mac = mac_of(2);
const ipv4_address ours = ip("10.0.0.1").ipv4(), peer = ip("10.0.0.2").ipv4();

const char request_to_us[] = "ffffffffffff020000000002080600010800060400010200000000020a0000020000000000000a000001";
const char our_reply[] = "020000000002020000000001080600010800060400020200000000010a0000010200000000020a000002";
const char our_request[] = "ffffffffffff020000000001080600010800060400010200000000010a0000010000000000000a000002";
const char our_unicast_request[] =
    "020000000002020000000001080600010800060400010200000000010a0000010000000000000a000002";
const char reply_to_us[] = "020000000001020000000002080600010800060400020200000000020a0000020200000000010a000001";
const char our_probe[] = "ffffffffffff02000000000108060001080006040001020000000001000000000000000000000a000001";
const char our_announcement[] = "ffffffffffff020000000001080600010800060400010200000000010a0000010000000000000a000001";
const char peer_probe[] = "ffffffffffff02000000000208060001080006040001020000000002000000000000000000000a000001";
const char reply_to_probe[] = "020000000002020000000001080600010800060400020200000000010a00000102000000000200000000";
const char peer_uses_ours[] = "ffffffffffff020000000002080600010800060400010200000000020a0000010000000000000a000001";
const char peer_holds_ours[] = "020000000001020000000002080600010800060400020200000000020a00000102000000000100000000";
const char peer_announces[] = "ffffffffffff020000000002080600010800060400010200000000020a0000020000000000000a000002";
const char request_for_another[] =
    "ffffffffffff020000000002080600010800060400010200000000020a0000020000000000000a000009";

class arp_test : public testing::Test, public frame_output, public neighbour_events {
 protected:
  arp_test() {
    EXPECT_TRUE(addresses.add({ours, 24}));
    EXPECT_TRUE(table.open(16, 16));
  }

  packet* take_frame() override { return out_of_frames ? nullptr : pool.pool().take(); }
  void transmit(packet* frame) override {
    sent.push_back(test::to_hex(test::bytes_of(frame)));
    release(frame);
  }
  void solicit(const ip_address& target, const mac_address* to) override { arp.solicit(target.ipv4(), ours, to); }
  void release_parked(packet* frame, const mac_address&) override { release(frame); }
  void unreachable(packet* frame) override { release(frame); }
  void changed() override {}

  void receive(std::string_view hex) { arp.receive(pool.make(from_hex(hex)), now); }
  // A frame with other bytes from `at` on, counted from the Ethernet header.
  static std::string patched(std::string hex, std::size_t at, std::string_view bytes) {
    return hex.replace(2 * at, bytes.size(), bytes);
  }
  neighbour_state state(ipv4_address address) {
    const neighbour* n = table.find(address);
    return n != nullptr ? n->state : neighbour_state::none;
  }
  void ring() { arp.advance(now = std::max(now, arp.deadline())); }
  std::uint64_t conflicts() const { return count.address_conflicts.get(); }

  time_point now = 1000 * second;
  test::frames pool;
  counters count;
  random_source random{1};
  local_addresses addresses;
  neighbour_table table{*this, count, random};
  mac_address mac = our_mac;
  arp_responder arp{*this, addresses, table, mac, random, count};
  std::vector<std::string> sent;
  bool out_of_frames = false;
};

using frames_sent = std::vector<std::string>;

TEST_F(arp_test, rfc826_a_request_for_our_address_is_answered_to_its_sender_alone) {
  receive(request_to_us);
  EXPECT_EQ(sent, frames_sent{our_reply});
  EXPECT_EQ(state(peer), neighbour_state::stale);
  EXPECT_EQ(table.find(peer)->mac, peer_mac);
}

TEST_F(arp_test, a_padded_request_is_answered_without_padding) {
  receive(request_to_us + std::string(2 * 18, '7'));
  EXPECT_EQ(sent, frames_sent{our_reply});
}

TEST_F(arp_test, a_unicast_request_is_answered_too) {
  receive(patched(request_to_us, 0, "020000000001"));
  EXPECT_EQ(sent, frames_sent{our_reply});
}

TEST_F(arp_test, a_request_for_another_is_met_with_silence_and_makes_no_entry) {
  receive(request_for_another);
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(dropped(count), 0u);
}

TEST_F(arp_test, each_of_our_addresses_is_answered_for) {
  ASSERT_TRUE(addresses.add(test::prefix("10.0.0.9/24")));
  receive(request_for_another);
  EXPECT_EQ(sent, frames_sent{patched(our_reply, 28, "0a000009")});
  ASSERT_TRUE(addresses.remove(ip("10.0.0.9").ipv4()));
  receive(request_for_another);
  EXPECT_EQ(sent.size(), 1u);
}

TEST_F(arp_test, a_question_and_its_answer) {
  table.use(peer, now);
  EXPECT_EQ(sent, frames_sent{our_request});
  receive(reply_to_us);
  EXPECT_EQ(state(peer), neighbour_state::reachable);
  EXPECT_EQ(table.find(peer)->mac, peer_mac);
  EXPECT_EQ(sent.size(), 1u);
}

TEST_F(arp_test, a_probe_of_reachability_goes_to_the_neighbour_alone) {
  arp.solicit(peer, ours, &peer_mac);
  EXPECT_EQ(sent, frames_sent{our_unicast_request});
}

// With sender 0.0.0.0 the request would be a probe: a claim to the neighbour's address (RFC 5227 1.1).
TEST_F(arp_test, without_an_address_of_our_own_nobody_can_be_asked) {
  arp.solicit(peer, {}, nullptr);
  EXPECT_TRUE(sent.empty());
}

TEST_F(arp_test, a_reply_that_nobody_asked_for_makes_no_entry) {
  receive(reply_to_us);
  EXPECT_EQ(table.size(), 0u);
}

// It tells where the peer is, but not that it hears us.
TEST_F(arp_test, a_reply_that_is_not_for_us_alone_resolves_without_proof) {
  for (const auto& frame : {patched(reply_to_us, 0, "ffffffffffff"), patched(reply_to_us, 38, "0a000009")}) {
    (void)table.remove(peer);
    table.use(peer, now);
    receive(frame);
    EXPECT_EQ(state(peer), neighbour_state::stale);
  }
}

TEST_F(arp_test, an_announcement_moves_a_known_neighbour_and_makes_no_new_one) {
  receive(peer_announces);
  EXPECT_EQ(table.size(), 0u);
  table.use(peer, now);
  receive(reply_to_us);
  now += second;
  receive(patched(patched(peer_announces, 6, "020000000003"), 22, "020000000003"));
  EXPECT_EQ(table.find(peer)->mac, mac_of(3));
  EXPECT_EQ(state(peer), neighbour_state::stale);
}

// A route may say that more is on-link than our prefixes do.
TEST_F(arp_test, a_reply_counts_also_from_beyond_our_prefixes_but_a_request_makes_no_entry) {
  const ipv4_address far = ip("192.0.2.1").ipv4();
  receive(patched(request_to_us, 28, "c0000201"));
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(sent.size(), 1u);
  table.use(far, now);
  receive(patched(reply_to_us, 28, "c0000201"));
  EXPECT_EQ(state(far), neighbour_state::reachable);
}

TEST_F(arp_test, what_is_malformed_is_counted_and_changes_nothing) {
  table.use(peer, now);
  sent.clear();
  const struct {
    const char* what;
    std::string frame;
  } rows[] = {
      {"one byte short", std::string(request_to_us, sizeof request_to_us - 3)},
      {"nothing behind the Ethernet header", std::string(request_to_us, 28)},
      {"hardware type", patched(request_to_us, 14, "0006")},
      {"protocol type", patched(request_to_us, 16, "86dd")},
      {"hardware size", patched(request_to_us, 18, "08")},
      {"protocol size", patched(request_to_us, 19, "10")},
      {"operation 0", patched(request_to_us, 20, "0000")},
      {"operation 3", patched(request_to_us, 20, "0003")},
      {"sender is a group", patched(request_to_us, 22, "010000000002")},
      {"sender is everybody", patched(request_to_us, 22, "ffffffffffff")},
      {"sender has no address on the link", patched(request_to_us, 22, "000000000000")},
      {"sender is a multicast group", patched(request_to_us, 28, "e0000001")},
      {"sender is the limited broadcast", patched(request_to_us, 28, "ffffffff")},
      {"sender is the subnet's broadcast", patched(request_to_us, 28, "0a0000ff")},
      {"sender is loopback", patched(request_to_us, 28, "7f000001")},
      {"sender is reserved", patched(request_to_us, 28, "f0000001")},
      {"reply from the any address", patched(reply_to_us, 28, "00000000")},
  };
  std::uint64_t expected = 0;
  for (const auto& row : rows) {
    receive(row.frame);
    EXPECT_EQ(dropped(count, drop::arp_malformed), ++expected) << row.what;
    EXPECT_TRUE(sent.empty()) << row.what;
    EXPECT_EQ(state(peer), neighbour_state::incomplete) << row.what;
    EXPECT_EQ(table.size(), 1u) << row.what;
  }
}

TEST_F(arp_test, our_own_frames_come_back_unheard) {
  arp.claim(ours, now);
  for (const char* frame : {our_request, our_probe, our_announcement}) receive(frame);
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(conflicts(), 0u);
}

TEST_F(arp_test, without_a_free_frame_there_is_no_answer_and_it_is_counted) {
  out_of_frames = true;
  receive(request_to_us);
  EXPECT_EQ(dropped(count, drop::no_memory), 1u);
}

TEST_F(arp_test, any_bytes_do_no_harm) {
  arp.claim(ours, now);
  random_source bytes(5);
  for (int i = 0; i < 100'000; ++i) {
    std::string frame = from_hex(request_to_us);
    for (std::uint32_t changes = bytes.below(4); changes > 0; --changes) {
      frame[14 + bytes.below(28)] = static_cast<char>(bytes.next());
    }
    frame.resize(14 + bytes.below(40));
    arp.receive(pool.make(frame), now);
    EXPECT_LE(table.size(), 16u);
    sent.clear();
  }
}

TEST_F(arp_test, rfc5227_2_1_an_address_is_probed_three_times_and_announced_twice) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    random = random_source(seed);
    const time_point start = now;
    arp.claim(ours, start);
    EXPECT_TRUE(sent.empty());
    ring();
    EXPECT_LT(now - start, second);
    time_point before = now;
    for (int i = 0; i < 2; ++i) {
      ring();
      EXPECT_GE(now - before, second);
      EXPECT_LT(now - before, 2 * second);
      before = now;
    }
    EXPECT_EQ(sent, (frames_sent{our_probe, our_probe, our_probe}));
    ring();
    EXPECT_EQ(now - before, 2 * second);
    before = now;
    ring();
    EXPECT_EQ(now - before, 2 * second);
    EXPECT_EQ(sent, (frames_sent{our_probe, our_probe, our_probe, our_announcement, our_announcement}));
    EXPECT_EQ(arp.deadline(), never);
    sent.clear();
  }
}

TEST_F(arp_test, claims_of_several_addresses_do_not_wait_for_each_other) {
  for (std::uint32_t i = 0; i < 64; ++i) arp.claim(ipv4_address::from_number(0x0a000001 + i), now);
  arp.advance(now + second);
  EXPECT_EQ(sent.size(), 64u);
  arp.claim(ip("10.0.0.199").ipv4(), now);  // more than there can be addresses
  while (arp.deadline() != never) ring();
  EXPECT_EQ(sent.size(), 320u);
}

TEST_F(arp_test, a_forgotten_address_is_no_longer_claimed) {
  arp.claim(ours, now);
  ring();
  arp.forget(ours);
  arp.forget(ours);
  for (int i = 0; i < 10; ++i) arp.advance(now += second);
  EXPECT_EQ(sent.size(), 1u);
  EXPECT_EQ(arp.deadline(), never);
}

TEST_F(arp_test, a_claimed_address_is_answered_for_from_the_start) {
  arp.claim(ours, now);
  receive(request_to_us);
  EXPECT_EQ(sent, frames_sent{our_reply});
}

TEST_F(arp_test, rfc5227_2_1_1_what_another_was_found_to_hold_is_neither_announced_nor_defended) {
  for (const char* frame : {peer_holds_ours, peer_uses_ours}) {
    const std::uint64_t before = conflicts();
    arp.claim(ours, now);
    ring();
    receive(frame);
    EXPECT_EQ(conflicts(), before + 1);
    arp.advance(now += 100 * second);
    receive(frame);
    EXPECT_EQ(conflicts(), before + 2);
    EXPECT_EQ(sent, frames_sent{our_probe});
    sent.clear();
  }
}

TEST_F(arp_test, rfc5227_2_1_1_a_probe_of_another_while_we_probe_is_a_conflict_and_is_answered) {
  arp.claim(ours, now);
  receive(peer_probe);
  EXPECT_EQ(conflicts(), 1u);
  EXPECT_EQ(sent, frames_sent{reply_to_probe});
  EXPECT_EQ(table.size(), 0u);
}

TEST_F(arp_test, rfc5227_2_1_1_a_probe_for_an_address_that_is_ours_is_answered) {
  arp.claim(ours, now);
  while (arp.deadline() != never) ring();
  sent.clear();
  receive(peer_probe);
  EXPECT_EQ(sent, frames_sent{reply_to_probe});
  EXPECT_EQ(conflicts(), 0u);
}

TEST_F(arp_test, rfc5227_2_4_our_address_is_defended_once_in_ten_seconds) {
  arp.claim(ours, now);
  while (arp.deadline() != never) ring();
  sent.clear();
  const time_point start = now;
  for (now = start; now < start + 10 * second; now += second) receive(peer_uses_ours);
  EXPECT_EQ(sent, frames_sent{our_announcement});
  EXPECT_EQ(conflicts(), 10u);
  receive(peer_uses_ours);
  EXPECT_EQ(sent.size(), 2u);
  receive(request_to_us);  // and it is still ours
  EXPECT_EQ(sent.back(), our_reply);
}

TEST_F(arp_test, an_address_that_was_not_claimed_is_not_defended_but_conflicts_are_counted) {
  receive(peer_uses_ours);
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(conflicts(), 1u);
  receive(peer_probe);
  EXPECT_EQ(conflicts(), 1u);
}

TEST_F(arp_test, who_uses_our_address_is_not_learnt) {
  receive(peer_uses_ours);
  receive(peer_holds_ours);
  EXPECT_EQ(table.size(), 0u);
}

}  // namespace
}  // namespace fastudp
