#pragma once
// The groups that a port is to let in, each as often as it was asked for.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/address.h"

namespace fastudp::dpdk {

class groups {
 public:
  static constexpr std::uint32_t most = 64;

  void change(const mac_address& group, bool wanted) {
    const auto* at = std::find(addresses_.data(), addresses_.data() + count_, group);
    const auto place = static_cast<std::uint32_t>(at - addresses_.data());
    if (place == count_ && !wanted) return void(unlisted_ -= unlisted_ != 0);
    if (place == most) return void(++unlisted_);
    if (place == count_) append(group);
    wishes_[place] += wanted ? 1u : -1u;
    if (wishes_[place] == 0) remove(place);
  }

  const mac_address* addresses() const { return addresses_.data(); }
  std::uint32_t count() const { return count_; }
  // There are others, too.
  bool is_incomplete() const { return unlisted_ != 0; }

 private:
  void append(const mac_address& group) {
    addresses_[count_] = group;
    wishes_[count_++] = 0;
  }
  void remove(std::uint32_t place) {
    addresses_[place] = addresses_[--count_];
    wishes_[place] = wishes_[count_];
  }

  std::array<mac_address, most> addresses_{};
  std::array<unsigned, most> wishes_{};
  std::uint32_t count_ = 0;
  unsigned unlisted_ = 0;
};

}  // namespace fastudp::dpdk
