// An interface's statistics, against what /proc shows of them.

#include "host/interface_statistics.h"

#include <gtest/gtest.h>
#include <net/if.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "unit/link/namespace.h"

namespace fastudp::test {
namespace {

// The columns of the interface's line in /proc/net/dev.
std::vector<std::uint64_t> columns_of(const std::string& interface) {
  std::ifstream all("/proc/thread-self/net/dev");
  std::vector<std::uint64_t> out;
  for (std::string line; std::getline(all, line);) {
    std::istringstream words(line);
    std::string name;
    if (!(words >> name) || name != interface + ":") continue;
    for (std::uint64_t count; words >> count;) out.push_back(count);
  }
  return out;
}

class statistics : public testing::Test {
 protected:
  void SetUp() override {
    if (!enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
    make_cable("near");
  }
  void TearDown() override { run("ip link delete near 2>/dev/null"); }
};

TEST_F(statistics, are_the_kernels) {
  auto asked = interface_statistics::open(static_cast<int>(::if_nametoindex("near")));
  ASSERT_TRUE(asked);
  packet_socket far("far");
  for (int i = 0; i < 7; ++i) far.send(std::string(60, 'x'));
  const auto told = asked->read();
  ASSERT_TRUE(told);
  const auto shown = columns_of("near");
  ASSERT_EQ(shown.size(), 16u);
  EXPECT_GE(told->rx_packets, 7u);
  EXPECT_EQ(told->rx_packets, shown[1]);
  EXPECT_EQ(told->rx_dropped + told->rx_missed_errors, shown[3]);
  EXPECT_EQ(told->tx_packets, shown[9]);
  EXPECT_EQ(told->tx_dropped, shown[11]);
}

TEST_F(statistics, are_none_of_an_interface_that_is_gone) {
  auto asked = interface_statistics::open(static_cast<int>(::if_nametoindex("near")));
  ASSERT_TRUE(asked);
  ASSERT_EQ(run("ip link delete near"), 0);
  EXPECT_EQ(asked->read().code(), ENODEV);
}

}  // namespace
}  // namespace fastudp::test
