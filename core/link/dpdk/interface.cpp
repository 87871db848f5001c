#include "link/dpdk/interface.h"

#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <string_view>

#include "base/byte_order.h"
#include "link/header_sums.h"

namespace fastudp::dpdk {
namespace {

constexpr std::size_t ethernet_size = 14, ipv4_size = 20, ipv6_size = 40, udp_size = 8;
constexpr std::uint8_t udp_protocol = 17;

std::uint32_t word(const std::byte* at) { return load_network<std::uint16_t>(at); }

}  // namespace

kernel_interface look_at(int index) {
  kernel_interface out;
  ifreq request{};
  const descriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (::if_indextoname(static_cast<unsigned>(index), request.ifr_name) == nullptr) return out;
  if (::ioctl(control.number(), SIOCGIFMTU, &request) == 0) out.mtu = static_cast<std::uint32_t>(request.ifr_mtu);
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  request.ifr_data = reinterpret_cast<char*>(&driver);
  if (::ioctl(control.number(), SIOCETHTOOL, &request) != 0) return out;
  const std::string_view name(driver.driver);
  out.is_virtual = name == "veth" || name == "tun" || name == "virtio_net";
  return out;
}

descriptor make_promiscuous(int index) {
  descriptor out(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));  // of no protocol: receives nothing
  packet_mreq wanted{};
  wanted.mr_ifindex = index;
  wanted.mr_type = PACKET_MR_PROMISC;
  (void)::setsockopt(out.number(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wanted, sizeof wanted);
  return out;
}

bool has_partial_checksum(std::span<const std::byte> frame) {
  const std::byte* ip = frame.data() + ethernet_size;
  if (frame.size() < ethernet_size + ipv4_size + udp_size) return false;
  const auto type = word(ip - 2);
  if (type == 0x0800) {
    const bool is_whole_udp =
        ip[0] == std::byte{0x45} && ip[9] == std::byte{udp_protocol} && (word(ip + 6) & 0x3fff) == 0;
    return is_whole_udp && has_pseudo_sum(ip + ipv4_size, {ip + 12, 8});
  }
  return type == 0x86dd && frame.size() >= ethernet_size + ipv6_size + udp_size && ip[6] == std::byte{udp_protocol} &&
         has_pseudo_sum(ip + ipv6_size, {ip + 8, 32});
}

}  // namespace fastudp::dpdk
