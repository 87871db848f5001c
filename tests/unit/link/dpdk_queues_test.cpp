// dpdk: with several receive queues, as DPDK itself counts them: a kernel's flows on a TAP, a program at the other end
// of a memif, and rings that the test fills.

#include <gmock/gmock.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "unit/link/datagrams.h"
#include "unit/link/namespace.h"

namespace fastudp::test {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::Gt;
using testing::HasSubstr;
using testing::SizeIs;

std::vector<std::uint64_t> received_by_queue(const char* port, std::size_t queues) {
  std::uint16_t number = 0;
  rte_eth_stats stats{};
  EXPECT_EQ(rte_eth_dev_get_port_by_name(port, &number), 0);
  EXPECT_EQ(rte_eth_stats_get(number, &stats), 0);
  return {stats.q_ipackets, stats.q_ipackets + queues};
}

class dpdk_queues : public testing::Test {
 protected:
  void SetUp() override {
    if (!enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
  }
};

TEST_F(dpdk_queues, more_than_a_port_has_are_refused) {
  const struct {
    const char *uri, *said;
  } cases[] = {
      {"dpdk:net_tap5,iface=few?queues=17", "dpdk:net_tap5,iface=few has 16"},
      {"dpdk:net_vhost5,iface=few,queues=2?queues=3", "has 2"},
      {"dpdk:net_ring5?queues=0", "from 1 to 64"},
      {"dpdk:net_ring5?queues=65", "from 1 to 64"},
      {"dpdk:net_ring5?queues=1-2", "from 1 to 64"},
  };
  for (const auto& [uri, said] : cases) {
    host refused(uri);
    EXPECT_FALSE(refused) << uri;
    EXPECT_THAT(refused.why(), AllOf(HasSubstr("queues="), HasSubstr(said))) << uri;
  }
  EXPECT_EQ(if_nametoindex("few"), 0u);
}

// ---- A kernel's flows on a TAP

class dpdk_tap_queues : public dpdk_queues {
 protected:
  static constexpr std::uint16_t flows = 32;  // by their source ports

  void SetUp() override {
    dpdk_queues::SetUp();
    if (IsSkipped()) return;
    link_ = std::make_unique<host>("dpdk:net_tap6,iface=wide?queues=4");
    ASSERT_TRUE(*link_) << link_->why();
    kernel_ = std::make_unique<packet_socket>("wide", 0x0800);
  }
  frame of_flow(unsigned flow, std::string payload) {
    const datagram d{.payload = std::move(payload), .from = static_cast<std::uint16_t>(8000 + flow)};
    return d.in((*link_)->info().mac, mac_of(0x99));
  }
  static unsigned flow_of(const frame& f) {
    return (static_cast<unsigned char>(f[34]) << 8 | static_cast<unsigned char>(f[35])) - 8000u;
  }

  std::unique_ptr<host> link_;
  std::unique_ptr<packet_socket> kernel_;
};

TEST_F(dpdk_tap_queues, all_of_them_are_received_by_each_flow_in_order) {
  constexpr unsigned each = 20;
  EXPECT_EQ((*link_)->info().queues, 4u);
  for (unsigned i = 0; i < each; ++i) {
    for (unsigned flow = 0; flow < flows; ++flow) kernel_->send(of_flow(flow, std::to_string(i)));
  }
  std::array<unsigned, flows> next{};
  for (const auto& f : receive_awaited(*link_, flows * each)) {
    EXPECT_EQ(f.substr(42), std::to_string(next.at(flow_of(f))++));
  }
  EXPECT_THAT(next, Each(each));
  EXPECT_THAT(received_by_queue("net_tap6", 4), Each(Gt(0u)));
}

TEST_F(dpdk_tap_queues, each_wakes) {
  for (unsigned flow = 0; flow < flows; ++flow) {
    EXPECT_TRUE((*link_)->arm());
    EXPECT_FALSE(readable((*link_)->wait_fd(), 0));
    kernel_->send(of_flow(flow, "x"));
    ASSERT_TRUE(readable((*link_)->wait_fd(), patience_ms)) << flow;
    EXPECT_THAT(receive_awaited(*link_, 1), ElementsAre(of_flow(flow, "x")));
  }
  EXPECT_THAT(received_by_queue("net_tap6", 4), Each(Gt(0u)));
}

TEST_F(dpdk_tap_queues, what_is_sent_keeps_its_order) {
  std::vector<frame> sent;
  burst out;
  for (unsigned i = 0; i < burst::capacity; ++i) {
    sent.push_back(datagram{.payload = std::to_string(i)}.in(mac_of(0x99), (*link_)->info().mac));
    out.append(link_->make(sent.back()));
  }
  EXPECT_EQ((*link_)->tx_burst(out), burst::capacity);
  out.forget_all();
  EXPECT_THAT(kernel_->receive(sent.size()), ElementsAreArray(sent));
}

// ---- A program's own port at the other end

class dpdk_far_port : public dpdk_queues {
 protected:
  void TearDown() override {
    if (number_ == none) return;
    rte_eth_dev_info about;
    ASSERT_EQ(rte_eth_dev_info_get(number_, &about), 0);
    rte_eth_dev_stop(number_);
    rte_eth_dev_close(number_);
    rte_dev_remove(about.device);
  }
  void plug_in(const std::string& arguments, std::uint16_t queues) {
    ASSERT_EQ(rte_dev_probe(arguments.c_str()), 0);
    ASSERT_EQ(rte_eth_dev_get_port_by_name(arguments.substr(0, arguments.find(',')).c_str(), &number_), 0);
    const rte_eth_conf conf{};
    ASSERT_EQ(rte_eth_dev_configure(number_, queues, queues, &conf), 0);
    for (std::uint16_t i = 0; i < queues; ++i) {
      ASSERT_EQ(rte_eth_rx_queue_setup(number_, i, 256, SOCKET_ID_ANY, nullptr, mbufs()), 0);
      ASSERT_EQ(rte_eth_tx_queue_setup(number_, i, 256, SOCKET_ID_ANY, nullptr), 0);
    }
    ASSERT_EQ(rte_eth_dev_start(number_), 0);
  }
  static rte_mempool* mbufs() {
    static rte_mempool* const all = rte_pktmbuf_pool_create("far", 4095, 0, 0, 2176, SOCKET_ID_ANY);
    return all;
  }
  static rte_mbuf* mbuf_of(const frame& bytes) {
    rte_mbuf* out = rte_pktmbuf_alloc(mbufs());
    std::copy(bytes.begin(), bytes.end(), rte_pktmbuf_append(out, static_cast<std::uint16_t>(bytes.size())));
    return out;
  }
  bool send(std::uint16_t queue, const frame& bytes) {
    rte_mbuf* m = mbuf_of(bytes);
    if (rte_eth_tx_burst(number_, queue, &m, 1) == 1) return true;
    rte_pktmbuf_free(m);
    return false;
  }
  // By whichever queue; empty when there is nothing.
  frame receive(std::uint16_t queues) {
    frame out;
    for (std::uint16_t i = 0; i < queues && out.empty(); ++i) {
      rte_mbuf* m = nullptr;
      if (rte_eth_rx_burst(number_, i, &m, 1) == 0) continue;
      out.assign(rte_pktmbuf_mtod(m, const char*), m->data_len);
      rte_pktmbuf_free(m);
    }
    return out;
  }

  static constexpr std::uint16_t none = 0xffff;
  std::uint16_t number_ = none;
};

frame numbered(unsigned i) { return ethernet(mac_of(1), mac_of(2), std::to_string(i) + std::string(46, '.')); }

TEST_F(dpdk_far_port, a_memif_client_with_as_many_queues_is_heard_by_each_and_answered) {
  constexpr std::uint16_t queues = 3;
  host server("dpdk:net_memif6,role=server,socket=pairs?queues=3");
  ASSERT_TRUE(server) << server.why();
  plug_in("net_memif7,role=client,socket=pairs", queues);
  ASSERT_FALSE(HasFatalFailure());
  while (!send(0, numbered(0))) continue;  // both ends find each other in a thread of DPDK's
  ASSERT_THAT(receive_awaited(server, 1), SizeIs(1));
  std::vector<frame> sent;
  for (unsigned i = 0; i < 3 * queues; ++i) {
    sent.push_back(numbered(i));
    EXPECT_TRUE(send(static_cast<std::uint16_t>(i % queues), sent.back()));
  }
  EXPECT_THAT(receive_awaited(server, sent.size()), testing::UnorderedElementsAreArray(sent));
  EXPECT_THAT(received_by_queue("net_memif6", queues), ElementsAre(4, 3, 3));
  EXPECT_EQ(receive(queues), "");  // by which it has room to receive
  EXPECT_TRUE(server.send(numbered(9)));
  EXPECT_EQ(receive(queues), numbered(9));
}

TEST_F(dpdk_far_port, a_memif_client_of_ours_has_as_many) {
  constexpr std::uint16_t queues = 3;
  host any("dpdk:net_ring6");  // starts DPDK
  plug_in("net_memif7,role=server,socket=others", queues);
  ASSERT_FALSE(HasFatalFailure());
  host client("dpdk:net_memif6,role=client,socket=others?queues=3");
  ASSERT_TRUE(client) << client.why();
  while (!send(0, numbered(0))) EXPECT_THAT(client.receive(), testing::IsEmpty());
  ASSERT_THAT(receive_awaited(client, 1), SizeIs(1));
  for (std::uint16_t i = 0; i < queues; ++i) {
    EXPECT_TRUE(send(i, numbered(i)));
    EXPECT_THAT(receive_awaited(client, 1), ElementsAre(numbered(i)));
  }
  EXPECT_TRUE(client.send(numbered(9)));
  EXPECT_EQ(receive(queues), numbered(9));
}

// ---- Rings

class dpdk_ring_queues : public dpdk_far_port {
 protected:
  static constexpr unsigned queues = 3;

  void SetUp() override {
    dpdk_far_port::SetUp();
    if (IsSkipped()) return;
    const host starts_dpdk("dpdk:net_ring6");
    ASSERT_TRUE(starts_dpdk);
    static int serial = 0;
    const std::string name = "queues" + std::to_string(serial++);
    for (unsigned i = 0; i < queues; ++i) {
      rings_[i] = rte_ring_create((name + "_" + std::to_string(i)).c_str(), 1024, SOCKET_ID_ANY, 0);
    }
    ASSERT_GE(rte_eth_from_rings(name.c_str(), rings_.data(), queues, rings_.data(), 1, SOCKET_ID_ANY), 0);
    link_ = std::make_unique<host>("dpdk:net_ring_" + name + "?queues=3");
    ASSERT_TRUE(*link_) << link_->why();
  }
  void fill(unsigned queue, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      ASSERT_EQ(rte_ring_enqueue(rings_[queue], mbuf_of(ethernet(mac_of(queue), mac_of(9), std::to_string(i)))), 0);
    }
  }
  // The numbers that came by a queue, in the order in which they came.
  static std::vector<std::string> of_queue(unsigned queue, const std::vector<frame>& all) {
    std::vector<std::string> out;
    for (const auto& f : all) {
      if (f[5] == static_cast<char>(queue)) out.push_back(f.substr(14));
    }
    return out;
  }

  std::array<rte_ring*, queues> rings_{};
  std::unique_ptr<host> link_;
};

TEST_F(dpdk_ring_queues, a_busy_queue_leaves_the_others_their_share) {
  fill(0, 500);
  fill(2, 2);
  EXPECT_THAT(of_queue(2, link_->receive()), ElementsAre("0", "1"));
  fill(1, 1);
  std::vector<frame> next = link_->receive();
  const auto more = link_->receive();
  next.insert(next.end(), more.begin(), more.end());
  EXPECT_THAT(of_queue(1, next), ElementsAre("0"));
  while (!link_->receive().empty()) continue;
}

TEST_F(dpdk_ring_queues, each_keeps_its_order) {
  constexpr unsigned each = 300;
  for (unsigned queue = 0; queue < queues; ++queue) fill(queue, each);
  std::vector<frame> all;
  for (auto some = link_->receive(); !some.empty(); some = link_->receive()) {
    all.insert(all.end(), some.begin(), some.end());
  }
  std::vector<std::string> expected;
  for (unsigned i = 0; i < each; ++i) expected.push_back(std::to_string(i));
  for (unsigned queue = 0; queue < queues; ++queue) EXPECT_EQ(of_queue(queue, all), expected) << queue;
}

TEST_F(dpdk_ring_queues, more_than_there_are_rings_are_refused) {
  std::array<rte_ring*, 1> one{rings_[0]};
  ASSERT_GE(rte_eth_from_rings("single", one.data(), 1, one.data(), 1, SOCKET_ID_ANY), 0);
  host refused("dpdk:net_ring_single?queues=2");
  EXPECT_FALSE(refused);
  EXPECT_THAT(refused.why(), HasSubstr("has 1"));
}

}  // namespace
}  // namespace fastudp::test
