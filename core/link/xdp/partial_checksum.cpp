#include "link/xdp/partial_checksum.h"

#include <cstdint>

#include "base/byte_order.h"
#include "link/link.h"

namespace fastudp::xdp {
namespace {

constexpr std::size_t ip_at = ethernet_header_length, udp_header = 8, length_at = 4, checksum_at = 6;
constexpr std::uint16_t type_ipv4 = 0x0800, type_ipv6 = 0x86dd;
constexpr std::byte protocol_udp{17};

std::uint16_t word(const std::byte* at) { return load_network<std::uint16_t>(at); }

struct place {
  std::size_t addresses = 0, bytes_of_addresses = 0, udp = 0;  // udp 0: it is none
};

place find_udp(std::span<const std::byte> frame) {
  constexpr std::size_t ipv4_header = 20, ipv6_header = 40;
  if (frame.size() < ip_at + ipv4_header + udp_header) return {};
  const std::byte* ip = frame.data() + ip_at;
  const std::uint16_t type = word(ip - 2);
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
  const std::byte* udp = frame.data() + at.udp;
  std::uint32_t sum = static_cast<std::uint32_t>(protocol_udp) + word(udp + length_at);
  for (std::size_t i = 0; i < at.bytes_of_addresses; i += 2) sum += word(frame.data() + at.addresses + i);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return sum == word(udp + checksum_at);
}

}  // namespace fastudp::xdp
