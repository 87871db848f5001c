#pragma once
// A link that a test holds in its hand: hands out the frames that it is given and keeps what it takes.

#include <algorithm>
#include <deque>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "link/link.h"

namespace fastudp::test {

class fake_link final : public link {
 public:
  explicit fake_link(const mac_address& mac, std::uint32_t frames = 1024, std::uint32_t mtu = 1500)
      : frames_(std::move(*pool::create(frames, default_headroom + longest_link_header + mtu))),
        info_{.name = "fake:", .mac = mac, .mtu = mtu} {}

  // A frame for which no packet is free waits.
  std::size_t rx_burst(burst& out) override {
    std::size_t n = 0;
    for (; n < to_receive.size() && out.room() != 0; ++n) {
      packet* p = frames_->take();
      if (p == nullptr) break;
      p->length = static_cast<std::uint32_t>(to_receive[n].size());
      p->checksum = checksum_of_received;
      std::copy(to_receive[n].begin(), to_receive[n].end(), reinterpret_cast<char*>(p->data()));
      out.append(p);
    }
    to_receive.erase(to_receive.begin(), to_receive.begin() + static_cast<std::ptrdiff_t>(n));
    return n;
  }
  std::size_t tx_burst(const burst& in) override {
    const std::size_t n = std::min(in.size(), takes);
    takes -= n;
    for (packet* p : in.packets().first(n)) {
      sent.emplace_back(reinterpret_cast<const char*>(p->data()), p->length);
      checksum_of_sent = p->checksum;
      if (peer != nullptr) peer->to_receive.push_back(sent.back());
      release(p);
    }
    return n;
  }
  void tx_flush() override { ++flushes; }
  int wait_fd() const override { return -1; }
  bool arm() override { return to_receive.empty(); }
  const link_info& info() const override { return info_; }
  bool sums_udp() const override { return sums; }
  pool& frames() override { return *frames_; }

  std::vector<std::string> take_sent() { return std::exchange(sent, {}); }
  std::uint32_t out() const { return frames_->count() - frames_->available(); }

  std::deque<std::string> to_receive;
  std::vector<std::string> sent;
  fake_link* peer = nullptr;                                                          // what we send, it receives
  std::size_t takes = std::numeric_limits<std::size_t>::max();                        // so many frames, then it is full
  checksum_state checksum_of_received = checksum_state::unknown, checksum_of_sent{};  // of the last one
  bool sums = false;
  int flushes = 0;

 private:
  std::unique_ptr<pool> frames_;
  link_info info_;
};

}  // namespace fastudp::test
