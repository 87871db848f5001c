#include "endpoint/device_losses.h"

namespace fastudp {

void device_losses::open(const link_info& device) {
  kind_ = device.lost;
  if (kind_ == lost_frames::uncounted) return;
  auto opened = interface_statistics::open(device.interface);
  auto counted = shared_array<std::uint64_t>::map(1);
  if (!opened || !counted) return;
  const auto before = opened->read();
  if (!before) return;
  asked_ = std::move(*opened);
  counted_ = std::move(*counted);
  counted_[0] = lost(*before);
}

std::uint64_t device_losses::lost(const rtnl_link_stats64& all) const {
  return kind_ == lost_frames::unsent ? all.tx_dropped : all.rx_missed_errors;
}

// A driver that is loaded anew, as another, begins at 0.
void device_losses::count(counters& to) {
  if (!asked_) return;
  const auto now = asked_->read();
  if (!now) return;
  const std::uint64_t before = counted_[0];
  counted_[0] = lost(*now);
  if (counted_[0] <= before) return;
  to.dropped(kind_ == lost_frames::unsent ? drop::tap_queue_full : drop::device_missed, counted_[0] - before);
}

}  // namespace fastudp
