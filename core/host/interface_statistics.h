#pragma once
// What Linux counts for an interface.

#include <linux/if_link.h>

#include <cstdint>

#include "base/descriptor.h"
#include "base/result.h"

namespace fastudp {

class interface_statistics {
 public:
  static result<interface_statistics> open(int interface);

  // ENODEV: it is gone. The kernel answers when nobody changes the network's configuration, which may take a moment.
  result<rtnl_link_stats64> read();

 private:
  descriptor questions_;
  int interface_ = 0;
  std::uint32_t sequence_ = 0;
};

}  // namespace fastudp
