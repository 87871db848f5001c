#include "link/xdp/device.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "base/descriptor.h"

namespace fastudp::xdp {
namespace {

bool ask(int control, const char* device, void* question) {
  ifreq about{};
  std::string_view(device).copy(about.ifr_name, sizeof about.ifr_name - 1);
  about.ifr_data = static_cast<char*>(question);
  return ::ioctl(control, SIOCETHTOOL, &about) == 0;
}

// Some drivers don't tell of channels, but their queues stand in sysfs.
std::uint32_t count_queues(const char* device) {
  constexpr std::uint32_t most = 256;
  char path[96];
  for (std::uint32_t n = 0; n < most; ++n) {
    std::snprintf(path, sizeof path, "/sys/class/net/%s/queues/rx-%u", device, n);
    if (::access(path, F_OK) != 0) return std::max(n, 1u);
  }
  return most;
}

}  // namespace

bool driver_facts::leads_to_local_kernels() const { return is_software || std::string_view(name) == "virtio_net"; }

driver_facts ask_driver(const af_packet::interface_facts& device) {
  driver_facts out;
  const descriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  if (ask(control.number(), device.name, &driver)) {
    const std::string_view bus(driver.bus_info);
    std::string_view(driver.driver).copy(out.name, sizeof out.name - 1);
    out.is_software = bus.empty() || bus == "N/A" || bus == "tap";
  }
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  const bool is_told = ask(control.number(), device.name, &channels);
  out.queues = is_told ? channels.rx_count + channels.combined_count : 0;
  if (out.queues == 0) out.queues = count_queues(device.name);
  return out;
}

}  // namespace fastudp::xdp
