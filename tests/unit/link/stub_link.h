#pragma once
// A link for the tests of wrappers: keeps what it takes, takes only as much as it is told to, hands out what it is
// given.

#include <limits>
#include <vector>

#include "unit/link/support.h"

namespace fastudp::test {

class stub_link final : public link {
 public:
  explicit stub_link(std::uint32_t frames = 1024) : pool_(std::move(*pool::create(frames, 2048))) {
    info_ = {.name = "stub:", .mac = mac_of(1), .mtu = 1500};
  }

  std::size_t rx_burst(burst& out) override {
    std::size_t n = 0;
    for (; n < to_receive.size() && out.room() != 0; ++n) out.append(host::make_in(*pool_, to_receive[n]));
    to_receive.erase(to_receive.begin(), to_receive.begin() + static_cast<std::ptrdiff_t>(n));
    return n;
  }
  std::size_t tx_burst(const burst& in) override {
    std::size_t n = 0;
    for (; n < in.size() && takes != 0; ++n, --takes) {
      sent.push_back(host::text_of(*in.packets()[n]));
      checksums.push_back(in.packets()[n]->checksum);
      release(in.packets()[n]);
    }
    return n;
  }
  void tx_flush() override { ++flushes; }
  int wait_fd() const override { return 77; }
  bool arm() override { return ++arms % 2 == 0; }
  const link_info& info() const override { return info_; }
  bool sums_udp() const override { return true; }
  pool& frames() override { return *pool_; }
  time_point deadline() const override { return own_deadline; }
  void advance(time_point now) override { time = now; }

  std::vector<frame> to_receive, sent;
  std::vector<checksum_state> checksums;
  std::size_t takes = std::numeric_limits<std::size_t>::max();
  int flushes = 0, arms = 0;
  time_point own_deadline = never, time = -1;

 private:
  std::unique_ptr<pool> pool_;
  link_info info_;
};

}  // namespace fastudp::test
