#pragma once
// Frames that were lost before they were a link's: what the kernel counts of them for the interface, in our counters.

#include <cstdint>
#include <optional>

#include "base/counters.h"
#include "base/memory.h"
#include "host/interface_statistics.h"
#include "link/link.h"

namespace fastudp {

class device_losses {
 public:
  // Those from now on. None are counted of a link whose interface tells nothing, or where the kernel can't be asked:
  // that is no reason to do without the link.
  void open(const link_info& device);
  // They are another process's to count.
  void leave() { asked_.reset(); }

  // Adds those since the last time. The kernel answers when nobody changes the network's configuration: this is for
  // calls that may take a moment.
  void count(counters& to);

 private:
  std::uint64_t lost(const rtnl_link_stats64& all) const;

  lost_frames kind_ = lost_frames::uncounted;
  std::optional<interface_statistics> asked_;
  shared_array<std::uint64_t> counted_;  // one; whoever takes the stack over goes on from there
};

}  // namespace fastudp
