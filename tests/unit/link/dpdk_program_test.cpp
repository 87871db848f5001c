// dpdk: in a program that uses DPDK itself: its environment and its ports are taken as they are, and frames of its own
// pools, in pieces or not, are as good as any.

#include <gmock/gmock.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "unit/link/support.h"

namespace fastudp::test {
namespace {

using testing::ElementsAre;

class dpdk_program : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string words[] = {"program",        "--no-huge",        "-m", "256", "--no-shconf", "--no-pci",
                           "--no-telemetry", "--log-level=error"};
    std::vector<char*> arguments;
    for (auto& each : words) arguments.push_back(each.data());
    ASSERT_GE(rte_eal_init(static_cast<int>(arguments.size()), arguments.data()), 0);
    mbufs = rte_pktmbuf_pool_create("program", 255, 0, 0, 256, SOCKET_ID_ANY);
    ASSERT_NE(mbufs, nullptr);
  }
  void SetUp() override {
    static int serial = 0;
    const std::string number = std::to_string(serial++);
    to_link = rte_ring_create(("to" + number).c_str(), 256, SOCKET_ID_ANY, 0);
    from_link = rte_ring_create(("from" + number).c_str(), 256, SOCKET_ID_ANY, 0);
    ASSERT_GE(rte_eth_from_rings(number.c_str(), &to_link, 1, &from_link, 1, SOCKET_ID_ANY), 0);
    under_test = std::make_unique<host>("dpdk:net_ring_" + number);
    ASSERT_TRUE(*under_test) << under_test->why();
  }
  void TearDown() override {
    under_test.reset();
    EXPECT_EQ(rte_mempool_avail_count(mbufs), 255u);
  }

  // As a chain of mbufs with at most so many bytes each.
  static rte_mbuf* chain(std::string_view bytes, std::size_t most) {
    rte_mbuf* first = nullptr;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(most, bytes.size()))) {
      rte_mbuf* piece = rte_pktmbuf_alloc(mbufs);
      const auto part = bytes.substr(0, most);
      std::copy(part.begin(), part.end(), rte_pktmbuf_append(piece, static_cast<std::uint16_t>(part.size())));
      if (first == nullptr) {
        first = piece;
      } else {
        EXPECT_EQ(rte_pktmbuf_chain(first, piece), 0);
      }
    }
    return first;
  }
  static frame text_of(const rte_mbuf* m) { return {rte_pktmbuf_mtod(m, const char*), m->data_len}; }

  static inline rte_mempool* mbufs;
  rte_ring *to_link = nullptr, *from_link = nullptr;
  std::unique_ptr<host> under_test;
};

TEST_F(dpdk_program, frames_of_its_pools_come_in_whole_and_go_home) {
  const frame small = ethernet(mac_of(1), mac_of(2), std::string(46, 's'));
  frame large = ethernet(mac_of(1), mac_of(2), "");
  while (large.size() < 1514) large += static_cast<char>(large.size());
  for (rte_mbuf* each : {chain(small, 100), chain(large, 100), chain(small, 7)}) {
    ASSERT_EQ(rte_ring_enqueue(to_link, each), 0);
  }
  EXPECT_THAT(under_test->receive(), ElementsAre(small, large, small));
  EXPECT_EQ(under_test->dropped(drop::link_error), 0u);
}

TEST_F(dpdk_program, what_is_too_long_for_a_frame_is_dropped) {
  rte_mbuf* long_one = chain(ethernet(mac_of(1), mac_of(2), std::string(5000, 'l')), 100);
  ASSERT_EQ(rte_ring_enqueue(to_link, long_one), 0);
  EXPECT_TRUE(under_test->receive().empty());
}

TEST_F(dpdk_program, checksums_that_the_device_vouches_for_are_believed) {
  const frame f = ethernet(mac_of(1), mac_of(2), std::string(46, 'x'));
  const std::uint64_t all[] = {RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_BAD, RTE_MBUF_F_RX_L4_CKSUM_NONE,
                               RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN};
  for (const std::uint64_t said : all) {
    rte_mbuf* m = chain(f, 100);
    m->ol_flags |= said;
    ASSERT_EQ(rte_ring_enqueue(to_link, m), 0);
  }
  burst in;
  ASSERT_EQ((*under_test)->rx_burst(in), 4u);
  std::vector<checksum_state> seen;
  for (const packet* p : in.packets()) seen.push_back(p->checksum);
  EXPECT_THAT(seen, ElementsAre(checksum_state::verified, checksum_state::unknown, checksum_state::partial,
                                checksum_state::unknown));
}

TEST_F(dpdk_program, frames_of_ours_come_back_by_the_program) {
  const auto at_rest = (*under_test)->frames().available();
  const frame f = ethernet(mac_of(1), mac_of(2), std::string(46, 'x'));
  EXPECT_TRUE(under_test->send(f));
  void* sent = nullptr;
  ASSERT_EQ(rte_ring_dequeue(from_link, &sent), 0);
  EXPECT_EQ(text_of(static_cast<rte_mbuf*>(sent)), f);
  EXPECT_EQ((*under_test)->frames().available(), at_rest - 1);
  rte_pktmbuf_free(static_cast<rte_mbuf*>(sent));
  (*under_test)->frames().reclaim();
  EXPECT_EQ((*under_test)->frames().available(), at_rest);
}

TEST_F(dpdk_program, a_frame_that_comes_back_when_the_link_is_closed_has_a_home) {
  EXPECT_TRUE(under_test->send(ethernet(mac_of(1), mac_of(2), std::string(46, 'x'))));
  void* sent = nullptr;
  ASSERT_EQ(rte_ring_dequeue(from_link, &sent), 0);
  under_test.reset();
  rte_pktmbuf_free(static_cast<rte_mbuf*>(sent));
}

TEST_F(dpdk_program, its_options_are_the_programs) {
  host refused("dpdk:net_ring_other?eal=--no-huge");
  EXPECT_FALSE(refused);
  EXPECT_THAT(refused.why(), testing::HasSubstr("too late"));
}

}  // namespace
}  // namespace fastudp::test
