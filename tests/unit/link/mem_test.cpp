// mem: as a switch. Which port gets which frame, what a full ring does, and ports that come and go while others send.

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "base/random.h"
#include "unit/link/namespace.h"

namespace fastudp::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct lan {
  host a{"mem:lan?mac=02:00:00:00:00:0a"};
  host b{"mem:lan?mac=02:00:00:00:00:0b"};
  host c{"mem:lan?mac=02:00:00:00:00:0c"};
  host tap{"mem:lan?mac=02:00:00:00:00:0d&promiscuous=1"};
};

TEST(mem, a_known_unicast_address_reaches_its_port_and_promiscuous_ones) {
  lan net;
  const auto f = ethernet(mac_of(0xb), mac_of(0xa), "for b");
  net.a.send(f);
  EXPECT_THAT(net.b.receive(), ElementsAre(f));
  EXPECT_THAT(net.c.receive(), IsEmpty());
  EXPECT_THAT(net.tap.receive(), ElementsAre(f));
  EXPECT_THAT(net.a.receive(), IsEmpty());
}

TEST(mem, unknown_and_group_addresses_reach_every_other_port) {
  lan net;
  for (const auto& to : {broadcast_mac, mac_address{{1, 0, 0x5e, 1, 2, 3}}, mac_of(0x77)}) {
    const auto f = ethernet(to, mac_of(0xa), "for all");
    net.a.send(f);
    EXPECT_THAT(net.b.receive(), ElementsAre(f));
    EXPECT_THAT(net.c.receive(), ElementsAre(f));
    EXPECT_THAT(net.tap.receive(), ElementsAre(f));
    EXPECT_THAT(net.a.receive(), IsEmpty());
  }
}

TEST(mem, a_frame_to_the_senders_own_address_does_not_come_back) {
  lan net;
  net.a.send(ethernet(mac_of(0xa), mac_of(0xa), "to myself"));
  EXPECT_THAT(net.a.receive(), IsEmpty());
  EXPECT_THAT(net.b.receive(), IsEmpty());
  EXPECT_EQ(net.tap.receive().size(), 1u);
}

TEST(mem, one_burst_is_split_among_its_receivers_in_order) {
  lan net;
  burst out;
  for (unsigned i = 0; i < 10; ++i) {
    out.append(
        net.a.make(ethernet(mac_of(i % 2 ? 0xb : 0xc), mac_of(0xa), std::string(1, static_cast<char>('0' + i)))));
  }
  ASSERT_EQ(net.a->tx_burst(out), 10u);
  out.forget_all();
  std::string at_b, at_c;
  for (const auto& f : net.b.receive()) at_b += f.back();
  for (const auto& f : net.c.receive()) at_c += f.back();
  EXPECT_EQ(at_b, "13579");
  EXPECT_EQ(at_c, "02468");
}

TEST(mem, hubs_with_other_names_hear_nothing) {
  host a("mem:one"), b("mem:one"), stranger("mem:on");
  a.send(ethernet(broadcast_mac, mac_of(1), "x"));
  EXPECT_EQ(b.receive().size(), 1u);
  EXPECT_THAT(stranger.receive(), IsEmpty());
}

TEST(mem, addresses_are_made_up_in_order_and_pass_over_those_in_use) {
  host first("mem:made"), given("mem:made?mac=02:00:00:00:00:02"), second("mem:made");
  EXPECT_EQ(first->info().mac, mac_of(1));
  EXPECT_EQ(given->info().mac, mac_of(2));
  EXPECT_EQ(second->info().mac, mac_of(3));
}

TEST(mem, a_hub_is_forgotten_with_its_last_port) {
  { host a("mem:gone"), b("mem:gone"); }
  host again("mem:gone");
  EXPECT_EQ(again->info().mac, mac_of(1));
}

TEST(mem, a_closed_port_leaves_the_others_connected) {
  lan net;
  net.b.close();
  const auto f = ethernet(mac_of(0xb), mac_of(0xa), "nobody's now");
  net.a.send(f);
  EXPECT_THAT(net.c.receive(), ElementsAre(f));
}

TEST(mem, a_full_ring_is_counted_by_its_owner_and_holds_the_oldest) {
  host a("mem:full"), b("mem:full?ring=64");
  for (unsigned i = 0; i < 100; ++i)
    a.send(ethernet(b->info().mac, a->info().mac, std::string(1, static_cast<char>(i))));
  const auto got = b.receive();
  ASSERT_EQ(got.size(), 64u);
  EXPECT_EQ(got.front().back(), 0);
  EXPECT_EQ(got.back().back(), 63);
  EXPECT_EQ(b.dropped(drop::link_rx_full), 36u);
  EXPECT_EQ(a.dropped(drop::link_rx_full), 0u);
  a.send(ethernet(b->info().mac, a->info().mac, "room again"));
  EXPECT_EQ(b.receive().size(), 1u);
  EXPECT_EQ(b.dropped(drop::link_rx_full), 36u);
}

TEST(mem, a_port_with_a_smaller_mtu_refuses_longer_frames) {
  host a("mem:sizes?mtu=1500"), b("mem:sizes?mtu=576");
  a.send(ethernet(b->info().mac, a->info().mac, std::string(577, 'x')));
  a.send(ethernet(b->info().mac, a->info().mac, std::string(576, 'x')));
  EXPECT_EQ(b.receive().size(), 1u);
  EXPECT_EQ(b.dropped(drop::link_error), 1u);
}

TEST(mem, only_a_verified_checksum_is_vouched_for) {
  host a("mem:sums"), b("mem:sums");
  for (const auto state : {checksum_state::unknown, checksum_state::verified, checksum_state::partial}) {
    burst out, in;
    out.append(a.make(ethernet(b->info().mac, a->info().mac, "x")));
    out.packets()[0]->checksum = state;
    out.forget_front(a->tx_burst(out));
    b->rx_burst(in);
    ASSERT_EQ(in.size(), 1u);
    const bool vouched = state == checksum_state::verified;
    EXPECT_EQ(in.packets()[0]->checksum, vouched ? checksum_state::verified : checksum_state::unknown);
  }
}

TEST(mem, what_cannot_be_opened_is_said) {
  host taken("mem:busy?mac=02:00:00:00:00:07");
  const std::pair<const char*, const char*> cases[] = {
      {"mem:", "needs the name"},
      {"mem:a-name-of-forty-nine-characters-which-is-one-too-many", "48 characters"},
      {"mem:x?mac=01:00:00:00:00:00", "mac=01:00:00:00:00:00"},
      {"mem:x?mac=00:00:00:00:00:00", "mac=00:00:00:00:00:00"},
      {"mem:x?mac=nonsense", "mac=nonsense"},
      {"mem:x?mtu=67", "mtu=67"},
      {"mem:x?mtu=65536", "mtu=65536"},
      {"mem:x?ring=63", "ring=63"},
      {"mem:x?ring=100", "ring=100"},
      {"mem:x?promiscuous=maybe", "promiscuous=maybe"},
      {"mem:x?colour=blue", "'colour'"},
      {"mem:busy?mac=02:00:00:00:00:07", "02:00:00:00:00:07"},
  };
  for (const auto& [text, named] : cases) {
    host refused(text);
    EXPECT_FALSE(refused) << text;
    EXPECT_THAT(refused.why(), HasSubstr(named)) << text;
  }
}

// Both senders number their frames; the receiver checks that each one's come in order and that what did not come was
// counted.
TEST(mem, two_threads_send_to_a_third) {
  constexpr std::uint32_t each = 100'000;
  host receiver("mem:threads?ring=1024");
  std::atomic<int> running{2};
  const auto sender = [&](unsigned id) {
    host self("mem:threads");
    for (std::uint32_t i = 0; i < each;) {
      burst out;
      for (; i < each && out.room() != 0; ++i) {
        auto f = ethernet(receiver->info().mac, mac_of(id), "");
        f.append(reinterpret_cast<const char*>(&i), sizeof i);
        out.append(self.make(f));
      }
      out.forget_front(self->tx_burst(out));
    }
    --running;
  };
  std::jthread one(sender, 0x51), two(sender, 0x52);
  std::uint64_t received = 0;
  std::int64_t last[2] = {-1, -1};
  for (bool more = true; more;) {
    more = running != 0;  // read before the last look
    burst in;
    while (receiver->rx_burst(in) != 0) {
      for (packet* p : in.packets()) {
        std::uint32_t number;
        std::memcpy(&number, p->data() + 14, sizeof number);
        auto& before = last[static_cast<int>(p->data()[11]) == 0x52];
        ASSERT_GT(number, before);
        before = number;
      }
      received += in.size();
      in.release_all();
    }
  }
  one.join();
  two.join();
  EXPECT_EQ(received + receiver.dropped(drop::link_rx_full), 2 * each);
  EXPECT_GT(received, 0u);
}

// Each waits for the other's frame before it sends its own: one wake-up that is lost stops both. A pause of random
// length moves the sending over the moment in which the other arms and looks.
TEST(mem, no_wakeup_is_lost) {
  constexpr int rounds = 50'000;
  const auto player = [](host& self, bool serves) {
    random_source random(serves);
    const auto ball = ethernet(broadcast_mac, self->info().mac, "ball");
    if (serves) self.send(ball);
    for (int i = 0; i < rounds; ++i) {
      while (self.receive().empty()) {
        if (self->arm() && !readable(self->wait_fd(), patience_ms)) return i;
      }
      for (auto pause = random.below(3000); pause != 0; --pause) std::atomic_signal_fence(std::memory_order_seq_cst);
      self.send(ball);
    }
    return rounds;
  };
  host a("mem:court"), b("mem:court");
  int played = 0;
  {
    std::jthread other([&] { played = player(b, false); });
    EXPECT_EQ(player(a, true), rounds);
  }
  EXPECT_EQ(played, rounds);
}

// Somebody sleeps on the descriptor while another thread, as it may, takes frames off the link and arms it again.
TEST(mem, a_sleeper_is_woken_though_others_receive) {
  host a("mem:shared"), b("mem:shared");
  ASSERT_TRUE(b->arm());
  a.send(ethernet(b->info().mac, a->info().mac, "taken by another thread"));
  EXPECT_FALSE(b->arm());
  EXPECT_EQ(b.receive().size(), 1u);
  a.send(ethernet(b->info().mac, a->info().mac, "for the sleeper"));
  EXPECT_TRUE(readable(b->wait_fd(), patience_ms));
}

TEST(mem, a_sleeper_whose_ring_has_no_frames_is_woken_to_give_it_some) {
  host a("mem:starved"), b("mem:starved?ring=64");
  burst in;
  std::vector<packet*> held;
  for (unsigned i = 0; i < 64; ++i) a.send(ethernet(b->info().mac, a->info().mac, "x"));
  while (packet* p = b->frames().take()) held.push_back(p);
  b->rx_burst(in);
  ASSERT_EQ(in.size(), 64u);
  ASSERT_TRUE(b->arm());
  in.release_all();  // too late for the arming to post them
  a.send(ethernet(b->info().mac, a->info().mac, "lost"));
  EXPECT_TRUE(readable(b->wait_fd(), 0));
  b.receive();
  a.send(ethernet(b->info().mac, a->info().mac, "arrives"));
  EXPECT_EQ(b.receive().size(), 1u);
  EXPECT_EQ(b.dropped(drop::link_rx_full), 1u);
  for (packet* p : held) release(p);
}

TEST(mem, ports_come_and_go_while_others_send) {
  host steady("mem:churn?mac=02:00:00:00:00:99");
  std::atomic<bool> stop{false};
  std::jthread churn([&] {
    for (int i = 0; i < 300; ++i) {
      host guest("mem:churn");
      guest.send(ethernet(steady->info().mac, guest->info().mac, "hello"));
      guest.receive();
    }
    stop = true;
  });
  std::size_t heard = 0;
  while (!stop) {
    steady.send(ethernet(broadcast_mac, steady->info().mac, "anybody?"));
    heard += steady.receive().size();
  }
  churn.join();
  heard += steady.receive().size();
  EXPECT_EQ(heard + steady.dropped(drop::link_rx_full), 300u);
}

}  // namespace
}  // namespace fastudp::test
