#include "link/link.h"

#include "base/byte_order.h"

namespace fastudp {
namespace {

bool is_tag(std::uint16_t ether_type) { return ether_type == 0x8100 || ether_type == 0x88a8; }  // 802.1Q, 802.1ad

}  // namespace

std::size_t link_header_length(std::span<const std::byte> frame) {
  std::size_t header = ethernet_header_length;
  while (header < longest_link_header && frame.size() >= header &&
         is_tag(load_network<std::uint16_t>(frame.data() + header - 2))) {
    header += vlan_tag_length;
  }
  return header;
}

bool link_info::carries_tagged(std::span<const std::byte> frame) const {
  const std::size_t header = link_header_length(frame);
  return frame.size() >= header && frame.size() <= header + mtu;
}

}  // namespace fastudp
