#pragma once
// A port of DPDK by the plugin's table, with a sentence for each way in which getting hold of it fails.

#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/reason.h"
#include "base/result.h"
#include "link/dpdk/plugin.h"

namespace fastudp::dpdk {

// Closed with its owner. In a child after a fork it is left alone: it is the parent's.
class port {
 public:
  // `device` as DPDK names it, `eal` its options or nothing.
  static result<port> open(std::string_view device, std::string_view eal, reason& why);
  port() = default;  // none
  port(port&& other) noexcept;
  port& operator=(port&&) = delete;
  ~port() { (void)close(); }

  const fastudp_dpdk_info& info() const { return info_; }
  // Not so in a child.
  bool is_ours() const;
  status start(const fastudp_dpdk_start& with, reason& why);
  // EBUSY: others still have frames of the pool, which then has to stay.
  status close();

  std::uint32_t rx_burst(std::uint32_t queue, fastudp_dpdk_frame* out, std::uint32_t room) {
    return table_->rx_burst(state_, queue, out, room);
  }
  std::uint32_t tx_burst(const fastudp_dpdk_frame* in, std::uint32_t count) {
    return table_->tx_burst(state_, in, count);
  }
  bool is_up() const { return table_->is_up(state_) != 0; }
  // Of a queue; -1: it has none.
  int interrupt_fd(std::uint32_t queue) const { return table_->interrupt_fd(state_, queue); }
  void arm() { table_->arm(state_); }
  // All groups, or none but these.
  void admit(const mac_address* groups, std::uint32_t count, bool all);
  fastudp_dpdk_losses losses() const;

 private:
  explicit port(const fastudp_dpdk_table& table) : table_(&table) {}

  const fastudp_dpdk_table* table_ = nullptr;
  void* state_ = nullptr;
  int opened_by_ = 0;  // a process
  fastudp_dpdk_info info_{};
};

}  // namespace fastudp::dpdk
