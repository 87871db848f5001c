// Losses that the kernel counts, in the counters of a program that never asks for them.

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>

#include "endpoint/engine.h"
#include "unit/link/namespace.h"

namespace fastudp::test {
namespace {

std::uint64_t dropped(engine& h, drop why) { return h.count().drops[static_cast<std::size_t>(why)].get(); }

void poll(engine& h) {
  engine::turn t(h);
  t.look_at_clock();
  while (h.work(t) != 0) continue;
}

TEST(losses, of_the_link_are_asked_for_each_second) {
  if (!enter_namespace().empty()) GTEST_SKIP() << enter_namespace();
  ASSERT_NO_FATAL_FAILURE(make_cable("near"));
  reason why;
  const engine_settings settings{.seed = 1, .hand_clock = true};
  const auto opened = engine::open("packet:near?announce=off&address=10.0.0.1/24", settings, why);
  ASSERT_TRUE(opened) << why.c_str();
  engine& h = **opened;
  constexpr std::uint64_t many = 10'000;
  packet_socket far("far");
  for (std::uint64_t i = 0; i < many; ++i) far.send(ethernet(h.device().mac, mac_of(1), std::string(1000, 'x')));
  ASSERT_TRUE(h.time().set(second - 1));
  poll(h);
  EXPECT_EQ(dropped(h, drop::link_rx_full), 0u);
  ASSERT_TRUE(h.time().set(second));
  for (int looks = 0; h.count().rx_frames.get() + dropped(h, drop::link_rx_full) != many && looks < 1000; ++looks) {
    ASSERT_TRUE(h.time().set(h.time().precise() + second));
    poll(h);
  }
  EXPECT_GT(dropped(h, drop::link_rx_full), 0u);
  EXPECT_EQ(h.count().rx_frames.get() + dropped(h, drop::link_rx_full), many);
}

}  // namespace
}  // namespace fastudp::test
