#include "link/xdp/partial_checksum.h"

#include <cstdint>

#include "base/byte_order.h"
#include "link/header_sums.h"
#include "link/link.h"

namespace fastudp::xdp {
namespace {

constexpr std::size_t ip_at = ethernet_header_length, udp_header = 8;
constexpr std::uint16_t type_ipv4 = 0x0800, type_ipv6 = 0x86dd;
constexpr std::byte protocol_udp{17};

struct place {
  std::size_t addresses = 0, bytes_of_addresses = 0, udp = 0;  // udp 0: it is none
};

place find_udp(std::span<const std::byte> frame) {
  constexpr std::size_t ipv4_header = 20, ipv6_header = 40;
  if (frame.size() < ip_at + ipv4_header + udp_header) return {};
  const std::byte* ip = frame.data() + ip_at;
  const std::uint16_t type = load_network<std::uint16_t>(ip - 2);
  if (type == type_ipv4 && ip[9] == protocol_udp) {
    return {ip_at + 12, 8, ip_at + static_cast<std::size_t>(ip[0] & std::byte{0xf}) * 4};
  }
  if (type == type_ipv6 && ip[6] == protocol_udp) return {ip_at + 8, 32, ip_at + ipv6_header};
  return {};
}

}  // namespace

bool has_partial_checksum(std::span<const std::byte> frame) {
  const place at = find_udp(frame);
  if (at.udp == 0 || frame.size() < at.udp + udp_header) return false;
  return has_pseudo_sum(frame.data() + at.udp, frame.subspan(at.addresses, at.bytes_of_addresses));
}

}  // namespace fastudp::xdp
