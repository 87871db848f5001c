#pragma once
// A link that does nothing but pass on; wrappers change what they care about. Frames come to it with their checksums in
// full: as they are on the wire, or else the device would make a good checksum of whatever became of them.

#include <utility>

#include "link/link.h"

namespace fastudp::wrap {

class link_around : public link {
 public:
  explicit link_around(link_ptr inner) : inner_(std::move(inner)) {}

  std::size_t rx_burst(burst& out) override { return inner_->rx_burst(out); }
  std::size_t tx_burst(const burst& in) override { return inner_->tx_burst(in); }
  void tx_flush() override { inner_->tx_flush(); }
  int wait_fd() const override { return inner_->wait_fd(); }
  bool arm() override { return inner_->arm(); }
  void admit_group(const mac_address& group, bool wanted) override { inner_->admit_group(group, wanted); }
  void count_losses() override { inner_->count_losses(); }
  const link_info& info() const override { return inner_->info(); }
  pool& frames() override { return inner_->frames(); }
  bool has_device() const override { return inner_->has_device(); }
  time_point deadline() const override { return inner_->deadline(); }
  void advance(time_point now) override { inner_->advance(now); }

 protected:
  link& inner() { return *inner_; }
  const link& inner() const { return *inner_; }

 private:
  link_ptr inner_;
};

}  // namespace fastudp::wrap
