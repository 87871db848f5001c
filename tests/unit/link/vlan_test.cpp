// vlan: which frames come in, what goes out with which tag, and that what the inner link leaves stays as it was.

#include "link/wrap/vlan.h"

#include <gmock/gmock.h>

#include <random>

#include "unit/link/stub_link.h"

namespace fastudp::test {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;
using wrap::take_vlans;
using wrap::vlan_link;

constexpr std::uint16_t ipv4_type = 0x0800, c_tag = 0x8100, s_tag = 0x88a8;

std::string two_bytes(unsigned value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }

// A frame from `from` to `to`, with these tags: TPID and TCI.
frame tagged(const mac_address& to, const mac_address& from,
             std::initializer_list<std::pair<std::uint16_t, unsigned>> tags, std::string_view payload = "payload") {
  std::string after;
  std::uint16_t first = ipv4_type;
  for (auto at = std::rbegin(tags); at != std::rend(tags); ++at) {
    after = two_bytes(at->second) + two_bytes(first) + after;
    first = at->first;
  }
  return ethernet(to, from, after + std::string(payload), first);
}

const mac_address us = mac_of(1), peer = mac_of(2), other_peer = mac_of(3);

frame in(std::initializer_list<std::pair<std::uint16_t, unsigned>> tags) { return tagged(us, peer, tags); }
frame out(std::initializer_list<std::pair<std::uint16_t, unsigned>> tags) { return tagged(peer, us, tags); }

result<wrap::vlan_membership> membership(const std::string& keys, reason& why) {
  const std::string text = "stub:x?" + keys;
  auto where = *uri::parse(text, why);
  auto taken = take_vlans(where, why);
  if (taken && !where.expect_all_taken(why)) return error{EINVAL};
  return taken;
}

struct network {
  explicit network(const std::string& keys) : inner(new stub_link) {
    reason why;
    const auto found = membership(keys, why);
    EXPECT_TRUE(found) << why.c_str();
    outer.adopt(link_ptr(new vlan_link(link_ptr(inner), *found, count)));
    at_rest = inner->frames().available();
  }
  ~network() { EXPECT_EQ(inner->frames().available(), at_rest); }

  std::vector<frame> hear(const std::vector<frame>& frames) {
    inner->to_receive = frames;
    burst heard;
    outer->rx_burst(heard);
    std::vector<frame> out;
    for (packet* p : heard.packets()) out.push_back(host::text_of(*p));
    return out;
  }
  frame sent(const frame& f, std::uint8_t priority = 0) {
    inner->sent.clear();
    burst all;
    all.append(outer.make(f));
    all.packets()[0]->priority = priority;
    EXPECT_EQ(outer->tx_burst(all), 1u);
    all.forget_all();
    EXPECT_EQ(inner->sent.size(), 1u);
    return inner->sent.at(0);
  }
  std::uint64_t dropped() const { return count.drops[static_cast<std::size_t>(drop::vlan)].get(); }

  counters count;
  stub_link* inner;
  host outer;
  std::uint32_t at_rest = 0;
};

TEST(vlan, tagged_takes_its_own_vlan_alone) {
  network net("vlan=100");
  EXPECT_THAT(net.hear({in({{c_tag, 100}}), in({{c_tag, 200}}), in({}), in({{c_tag, 0}}), in({{s_tag, 100}}),
                        in({{c_tag, 4095}}), in({{c_tag, 0xf000 | 100}})}),
              ElementsAre(in({}), in({})));  // whatever priority and DEI are
  EXPECT_EQ(net.dropped(), 5u);
}

TEST(vlan, tagged_sends_with_the_priority_of_the_packet) {
  network net("vlan=100&vlan_mode=tagged");
  EXPECT_EQ(net.sent(out({})), out({{c_tag, 100}}));
  for (std::uint8_t priority = 0; priority < 8; ++priority)
    EXPECT_EQ(net.sent(out({}), priority), out({{c_tag, priority << 13 | 100u}}));
}

TEST(vlan, access_is_untagged_but_takes_what_names_its_vlan) {
  network net("vlan=100&vlan_mode=access");
  EXPECT_THAT(net.hear({in({}), in({{c_tag, 0x6000}}), in({{c_tag, 100}}), in({{c_tag, 200}})}),
              ElementsAre(in({}), in({}), in({})));
  EXPECT_EQ(net.dropped(), 1u);
  EXPECT_EQ(net.sent(out({}), 5), out({}));
}

TEST(vlan, trunk_takes_its_vlans_and_without_a_native_one_nothing_untagged) {
  network net("vlan=100,200,300&vlan_mode=trunk");
  EXPECT_THAT(net.hear({in({{c_tag, 100}}), in({{c_tag, 300}}), in({{c_tag, 999}}), in({}), in({{c_tag, 0}})}),
              ElementsAre(in({}), in({})));
  EXPECT_EQ(net.dropped(), 3u);
}

TEST(vlan, trunk_takes_its_native_vlan_with_and_without_a_tag) {
  network net("vlan=100,200&vlan_mode=trunk&vlan_native=100");
  EXPECT_THAT(net.hear({in({}), in({{c_tag, 0}}), in({{c_tag, 100}}), in({{c_tag, 200}}), in({{c_tag, 300}})}),
              ElementsAre(in({}), in({}), in({}), in({})));
  EXPECT_EQ(net.dropped(), 1u);
}

TEST(vlan, trunk_answers_where_it_was_asked) {
  network net("vlan=100,200,300&vlan_mode=trunk&vlan_native=300");
  EXPECT_EQ(net.sent(out({})), out({{c_tag, 100}}));  // nobody was heard: the first of the list
  net.hear({in({{c_tag, 200}})});
  EXPECT_EQ(net.sent(out({}), 3), out({{c_tag, 0x6000 | 200}}));
  EXPECT_EQ(net.sent(tagged(other_peer, us, {})), tagged(other_peer, us, {{c_tag, 100}}));
  net.hear({in({})});
  EXPECT_EQ(net.sent(out({})), out({}));
  net.hear({in({{c_tag, 999}})});  // not ours, and so no news
  EXPECT_EQ(net.sent(out({})), out({}));
}

TEST(vlan, frames_to_many_go_to_the_first_vlan_whoever_forges_what) {
  network net("vlan=100,200&vlan_mode=trunk");
  net.hear({tagged(us, broadcast_mac, {{c_tag, 200}})});
  EXPECT_EQ(net.sent(tagged(broadcast_mac, us, {})), tagged(broadcast_mac, us, {{c_tag, 100}}));
}

TEST(vlan, two_tags) {
  network net("vlan=10.100");
  EXPECT_THAT(
      net.hear({in({{s_tag, 10}, {c_tag, 100}}), in({{s_tag, 10}, {c_tag, 200}}), in({{s_tag, 20}, {c_tag, 100}}),
                in({{c_tag, 10}, {c_tag, 100}}), in({{s_tag, 10}}), in({{c_tag, 100}}), in({})}),
      ElementsAre(in({})));
  EXPECT_EQ(net.dropped(), 6u);
  EXPECT_EQ(net.sent(out({}), 7), out({{s_tag, 0xe000 | 10}, {c_tag, 0xe000 | 100}}));
}

TEST(vlan, a_tag_behind_ours_is_left_to_the_stack) {
  network net("vlan=100");
  EXPECT_THAT(net.hear({in({{c_tag, 100}, {c_tag, 200}})}), ElementsAre(in({{c_tag, 200}})));
}

TEST(vlan, a_frame_cut_anywhere_does_no_harm) {
  for (const char* keys : {"vlan=100", "vlan=10.100", "vlan=100&vlan_mode=access", "vlan=100,10&vlan_mode=trunk"}) {
    network net(keys);
    std::size_t told = 0, heard = 0;
    for (const frame& whole : {in({{c_tag, 100}}), in({{s_tag, 10}, {c_tag, 100}})}) {
      for (std::size_t size = 0; size < whole.size(); ++size, ++told) {
        heard += net.hear({whole.substr(0, size)}).size();
        net.sent(whole.substr(0, size));
      }
    }
    EXPECT_EQ(heard + net.dropped(), told) << keys;
  }
}

TEST(vlan, what_the_inner_link_leaves_is_as_it_was_and_goes_later) {
  for (const char* keys : {"vlan=100", "vlan=10.100", "vlan=200,100&vlan_mode=trunk&vlan_native=200"}) {
    network net(keys);
    net.hear({in({{c_tag, 100}})});
    burst all;
    std::vector<frame> frames;
    for (unsigned i = 0; i < 10; ++i) {
      frames.push_back(tagged(i % 2 != 0 ? peer : other_peer, us, {}, std::to_string(i)));
      all.append(net.outer.make(frames.back()));
    }
    net.inner->takes = 4;
    ASSERT_EQ(net.outer->tx_burst(all), 4u);
    all.forget_front(4);
    for (unsigned i = 0; i < 6; ++i) {
      EXPECT_EQ(host::text_of(*all.packets()[i]), frames[4 + i]) << keys;
      EXPECT_EQ(all.packets()[i]->headroom(), default_headroom);
    }
    net.inner->takes = 6;
    ASSERT_EQ(net.outer->tx_burst(all), 6u);
    all.forget_all();
    std::vector<frame> expected;
    network fresh(keys);
    fresh.hear({in({{c_tag, 100}})});
    for (const auto& f : frames) expected.push_back(fresh.sent(f));
    EXPECT_THAT(net.inner->sent, ElementsAreArray(expected)) << keys;
  }
}

TEST(vlan, a_packet_without_headroom_is_tagged_where_its_end_has_room) {
  network net("vlan=100");
  burst all;
  packet* p = net.outer.make("");
  p->reset(0);
  std::ranges::copy(out({}), reinterpret_cast<char*>(p->data()));
  p->length = static_cast<std::uint32_t>(out({}).size());
  all.append(p);
  ASSERT_EQ(net.outer->tx_burst(all), 1u);
  all.forget_all();
  EXPECT_THAT(net.inner->sent, ElementsAre(out({{c_tag, 100}})));
}

// Untagged it would be in another network.
TEST(vlan, a_packet_without_any_room_is_no_frame) {
  network net("vlan=100");
  burst all;
  packet* p = net.outer.make("");
  p->reset(0);
  p->length = p->capacity;
  all.append(p);
  ASSERT_EQ(net.outer->tx_burst(all), 1u);
  all.forget_all();
  EXPECT_THAT(net.inner->sent, ElementsAre(frame()));
}

TEST(vlan, receiving_appends_and_stops_at_a_full_burst) {
  network net("vlan=100");
  net.inner->to_receive = std::vector<frame>(5, in({{c_tag, 100}}));
  burst some;
  while (some.room() > 2) some.append(net.outer.make("earlier"));
  EXPECT_EQ(net.outer->rx_burst(some), 2u);
  EXPECT_EQ(some.room(), 0u);
  EXPECT_EQ(host::text_of(*some.packets().front()), "earlier");
  EXPECT_EQ(host::text_of(*some.packets().back()), in({}));
  EXPECT_EQ(net.inner->to_receive.size(), 3u);
}

TEST(vlan, everything_else_is_the_inner_links) {
  network net("vlan=100");
  EXPECT_EQ(&net.outer->info(), &net.inner->info());
  EXPECT_EQ(&net.outer->frames(), &net.inner->frames());
  EXPECT_EQ(net.outer->wait_fd(), 77);
  net.outer->tx_flush();
  EXPECT_EQ(net.inner->flushes, 1);
  net.outer->advance(5);
  EXPECT_EQ(net.inner->time, 5);
}

TEST(vlan, any_bytes_come_in_or_are_dropped) {
  network net("vlan=1,2,3,4,5&vlan_mode=trunk");
  std::mt19937 random(7);
  std::uint64_t heard = 0;
  for (unsigned i = 0; i < 10'000; ++i) {
    frame f = in({{c_tag, random() % 8}});
    f[random() % f.size()] = static_cast<char>(random());
    heard += net.hear({f}).size();
  }
  EXPECT_EQ(heard + net.dropped(), 10'000u);
  EXPECT_GT(heard, 5'000u);
}

TEST(vlan_keys, say_what_is_wrong_with_them) {
  const std::pair<const char*, const char*> wrong[] = {
      {"vlan=", "vlan=: VIDs from 1 to 4094"},
      {"vlan=0", "vlan=0: VIDs from 1 to 4094"},
      {"vlan=4095", "vlan=4095: VIDs from 1 to 4094"},
      {"vlan=65636", "VIDs from 1 to 4094"},
      {"vlan=1,", "vlan=1,: VIDs"},
      {"vlan=,1&vlan_mode=trunk", "vlan=,1: VIDs"},
      {"vlan=1,x&vlan_mode=trunk", "vlan=1,x: VIDs"},
      {"vlan=-1", "VIDs from 1 to 4094"},
      {"vlan=10.", "OUTER.INNER"},
      {"vlan=.10", "VIDs from 1 to 4094"},
      {"vlan=10.20.30", "OUTER.INNER"},
      {"vlan=10.4095", "OUTER.INNER"},
      {"vlan=10.20&vlan_mode=trunk", "two tags are for vlan_mode=tagged"},
      {"vlan=10.20&vlan_mode=access", "two tags are for vlan_mode=tagged"},
      {"vlan=10,11.20", "a list of VIDs is for vlan_mode=trunk"},
      {"vlan=1,2", "vlan=1,2: a list of VIDs is for vlan_mode=trunk"},
      {"vlan=1,2&vlan_mode=access", "a list of VIDs is for vlan_mode=trunk"},
      {"vlan=1&vlan_mode=untagged", "vlan_mode=untagged: tagged, access or trunk"},
      {"vlan=1&vlan_native=1", "vlan_native=1: only vlan_mode=trunk"},
      {"vlan=1&vlan_mode=trunk&vlan_native=2", "vlan_native=2: one of the VIDs that vlan= lists"},
      {"vlan=1&vlan_mode=trunk&vlan_native=0", "vlan_native=0: one of the VIDs"},
      {"vlan=1&vlan_mode=trunk&vlan_native=4095", "vlan_native=4095: one of the VIDs"},
      {"vlan_mode=trunk", "need vlan=VID"},
      {"vlan_native=1", "need vlan=VID"},
  };
  for (const auto& [keys, words] : wrong) {
    reason why;
    const auto found = membership(keys, why);
    ASSERT_FALSE(found) << keys;
    EXPECT_EQ(found.code(), EINVAL);
    EXPECT_THAT(why.c_str(), HasSubstr(words)) << keys;
  }
}

// A tag is no part of a checksum.
TEST(vlan, sums_are_left_to_a_device_that_completes_them) { EXPECT_TRUE(network("vlan=100").outer->sums_udp()); }

TEST(vlan_keys, from_a_uri_to_the_wire) {
  host tagging("mem:vlan-keys?vlan=4094"), wire("mem:vlan-keys?promiscuous=1");
  ASSERT_TRUE(tagging) << tagging.why();
  EXPECT_TRUE(tagging.send(out({})));
  EXPECT_THAT(wire.receive(), ElementsAre(out({{c_tag, 4094}})));
  EXPECT_THAT(host("mem:vlan-keys?vlan=x").why(), HasSubstr("vlan=x: VIDs"));
  EXPECT_STREQ(tagging->info().name, "mem:vlan-keys");
}

}  // namespace
}  // namespace fastudp::test
