// The mirror of the host's network, against what ip(8) did to it.

#include "host/mirror.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "unit/link/namespace.h"

namespace fastudp::test {
namespace {

std::string text(const ip_address& a) { return to_text(a).c_str(); }
std::string text(const ip_prefix& p) { return text(p.address) + "/" + std::to_string(p.length); }

struct seen final : mirror_events {
  std::map<std::string, int> addresses, routes;
  std::map<std::string, host_route> ways;
  std::map<std::string, std::string> neighbours;
  host_interface interface;
  int fresh_starts = 0;

  void addresses_are(std::span<const address> all) override {
    addresses.clear();
    for (const auto& each : all) addresses[text(each.prefix)] = each.interface;
  }
  void routes_are(std::span<const host_route> all) override {
    ways.clear();
    for (const auto& each : all) ways[text(each.destination)] = each;
  }
  void neighbour_is(ip_address who, const mac_address* where, bool is_sure) override {
    if (where != nullptr && is_sure) {
      neighbours[text(who)] = to_text(*where).c_str();
    } else {
      neighbours.erase(text(who));
    }
  }
  void interface_is(const host_interface& state) override { interface = state; }
  void starts_over() override {
    ++fresh_starts;
    neighbours.clear();
  }
};

class mirrored : public testing::Test {
 protected:
  void SetUp() override {
    if (!enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
    make_cable("near");
    ASSERT_EQ(run("ip link set lo up && ip address add 10.50.0.1/24 dev near"), 0);
    reason why;
    auto opened = mirror::open(index(), seen_, why);
    ASSERT_TRUE(opened) << why.c_str();
    mirror_ = std::move(*opened);
  }
  void TearDown() override { run("ip link delete near 2>/dev/null; ip rule delete priority 100 2>/dev/null"); }

  static int index() { return static_cast<int>(if_nametoindex("near")); }
  void after(const std::string& command) {
    ASSERT_EQ(run(command), 0);
    mirror_->update();
  }

  seen seen_;
  std::unique_ptr<mirror> mirror_;
};

TEST_F(mirrored, what_is_there_at_the_start_is_told) {
  EXPECT_EQ(seen_.addresses.at("10.50.0.1/24"), index());
  EXPECT_EQ(seen_.addresses.count("127.0.0.1/8"), 0u);
  EXPECT_EQ(seen_.ways.at("10.50.0.0/24").interface, index());
  EXPECT_TRUE(seen_.ways.at("10.50.0.0/24").gateway.is_any());
  EXPECT_EQ(text(seen_.ways.at("10.50.0.0/24").source), "10.50.0.1");
  EXPECT_EQ(seen_.ways.count("10.50.0.0/24"), 1u);
  EXPECT_TRUE(seen_.interface.is_up);
  EXPECT_TRUE(seen_.interface.is_ethernet);
  EXPECT_EQ(seen_.interface.mtu, 1500u);
}

TEST_F(mirrored, addresses_come_and_go) {
  after("ip address add 10.51.0.1/16 dev lo");
  EXPECT_EQ(seen_.addresses.at("10.51.0.1/16"), 1);
  after("ip address del 10.51.0.1/16 dev lo");
  EXPECT_EQ(seen_.addresses.count("10.51.0.1/16"), 0u);
}

TEST_F(mirrored, of_two_routes_the_better_one_counts) {
  after(
      "ip route add 10.60.0.0/16 via 10.50.0.7 metric 20 && ip route add 10.60.0.0/16 via 10.50.0.8 metric 10 mtu "
      "1400");
  EXPECT_EQ(text(seen_.ways.at("10.60.0.0/16").gateway), "10.50.0.8");
  EXPECT_EQ(seen_.ways.at("10.60.0.0/16").mtu, 1400u);
  after("ip route del 10.60.0.0/16 metric 10");
  EXPECT_EQ(text(seen_.ways.at("10.60.0.0/16").gateway), "10.50.0.7");
}

TEST_F(mirrored, what_is_no_plain_way_is_left_to_the_kernel) {
  after("ip route add blackhole 10.61.0.0/16 && ip route add 10.62.0.0/16 nexthop via 10.50.0.2 nexthop via 10.50.0.3");
  EXPECT_EQ(seen_.ways.at("10.61.0.0/16").interface, 0);
  EXPECT_EQ(seen_.ways.at("10.62.0.0/16").interface, 0);
  after("ip rule add to 10.70.0.0/16 table 100 priority 100");
  EXPECT_EQ(seen_.ways.count("10.50.0.0/24"), 0u);
  after("ip rule delete priority 100");
  EXPECT_EQ(seen_.ways.count("10.50.0.0/24"), 1u);
}

TEST_F(mirrored, neighbours_are_known_while_the_kernel_is_sure) {
  for (const char* sure : {"reachable", "permanent", "noarp", "delay", "probe"}) {
    after(std::string("ip neighbour replace 10.50.0.9 lladdr 02:00:00:00:00:09 dev near nud ") + sure);
    EXPECT_EQ(seen_.neighbours["10.50.0.9"], "02:00:00:00:00:09") << sure;
    after("ip neighbour replace 10.50.0.9 lladdr 02:00:00:00:00:09 dev near nud stale");
    EXPECT_EQ(seen_.neighbours.count("10.50.0.9"), 0u) << sure;
  }
  after(
      "ip neighbour replace 10.50.0.9 lladdr 02:00:00:00:00:09 dev near nud permanent && ip neighbour del 10.50.0.9 "
      "dev near");
  EXPECT_EQ(seen_.neighbours.count("10.50.0.9"), 0u);
}

TEST_F(mirrored, the_interface_changes_and_goes) {
  after("ip link set near mtu 1400");
  EXPECT_EQ(seen_.interface.mtu, 1400u);
  after("ip link set near down");
  EXPECT_FALSE(seen_.interface.is_up);
  EXPECT_EQ(seen_.ways.count("10.50.0.0/24"), 0u);
  EXPECT_FALSE(seen_.interface.is_gone);
  after("ip link delete near");
  EXPECT_FALSE(seen_.interface.is_up);
  EXPECT_TRUE(seen_.interface.is_gone);
}

TEST_F(mirrored, a_port_that_leaves_its_bridge_stays) {
  after("ip link add br0 type bridge && ip link set near master br0 && ip link set near nomaster");
  EXPECT_TRUE(seen_.interface.is_up);
  EXPECT_FALSE(seen_.interface.is_gone);
  after("ip link delete br0");
}

TEST_F(mirrored, an_interface_that_goes_unheard_is_gone) {
  const std::string deluge =
      "(for i in $(seq 1 4000); do echo route add 10.$((i / 250 + 80)).$((i % 250)).0/24 dev near; done) | "
      "ip -batch -";
  after(deluge + " && ip link delete near");
  EXPECT_EQ(seen_.fresh_starts, 1);
  EXPECT_TRUE(seen_.interface.is_gone);
}

TEST_F(mirrored, after_too_many_notifications_everything_is_told_again) {
  std::string commands =
      "(for i in $(seq 1 4000); do echo route add 10.$((i / 250 + 80)).$((i % 250)).0/24 dev near; done) | "
      "ip -batch -";
  after(commands);
  EXPECT_EQ(seen_.fresh_starts, 1);
  EXPECT_EQ(seen_.ways.count("10.81.7.0/24"), 1u);
  EXPECT_GE(seen_.ways.size(), 4000u);
  EXPECT_EQ(seen_.addresses.count("10.50.0.1/24"), 1u);
}

TEST(mirror, an_interface_that_isnt_there_is_enodev) {
  seen events;
  reason why;
  EXPECT_EQ(mirror::open(99'999, events, why).code(), ENODEV);
}

}  // namespace
}  // namespace fastudp::test
