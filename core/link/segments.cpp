#include "link/segments.h"

#include <algorithm>
#include <cstring>

#include "base/byte_order.h"
#include "link/header_sums.h"

namespace fastudp {
namespace {

constexpr std::size_t udp_header = 8, ipv4_header = 20, ipv6_header = 40;
constexpr std::uint16_t ether_type_ipv4 = 0x0800, ether_type_ipv6 = 0x86dd;
constexpr std::byte protocol_udp{17};

std::uint16_t word(const std::byte* at) { return load_network<std::uint16_t>(at); }

// Of an IP packet with a UDP datagram right behind its header; 0 of any other.
std::size_t ip_header_length(std::span<const std::byte> frame, std::size_t ip_at) {
  if (frame.size() < ip_at + ipv4_header) return 0;
  const std::uint16_t type = word(frame.data() + ip_at - 2);
  const std::byte* ip = frame.data() + ip_at;
  if (type == ether_type_ipv4 && ip[9] == protocol_udp) return static_cast<std::size_t>(ip[0] & std::byte{0xf}) * 4;
  return type == ether_type_ipv6 && ip[6] == protocol_udp ? ipv6_header : 0;
}

void write_ipv4(std::byte* ip, std::size_t header, std::size_t payload, std::size_t i) {
  store_network(ip + 2, static_cast<std::uint16_t>(header + payload));
  store_network(ip + 4, static_cast<std::uint16_t>(word(ip + 4) + i));  // as Linux numbers them
  store_network(ip + 10, ipv4_checksum({ip, header}));
}

void write_ipv6(std::byte* ip, std::size_t payload) { store_network(ip + 4, static_cast<std::uint16_t>(payload)); }

}  // namespace

segments::segments(std::span<const std::byte> frame, std::uint32_t size) : frame_(frame), size_(size) {
  const std::size_t ip_at = link_header_length(frame), ip_header = ip_header_length(frame, ip_at);
  const std::size_t header = ip_at + ip_header + udp_header;
  if (size == 0 || ip_header < ipv4_header || frame.size() <= header) return;
  is_ipv6_ = word(frame.data() + ip_at - 2) == ether_type_ipv6;
  ip_at_ = ip_at;
  header_ = header;
}

std::size_t segments::count() const { return is_whole() ? 1 : (frame_.size() - header_ + size_ - 1) / size_; }

std::size_t segments::write(std::size_t i, std::span<std::byte> out) const {
  const std::size_t at = header_ + i * size_, payload = std::min(size_, frame_.size() - at);
  std::memcpy(out.data(), frame_.data(), header_);
  std::memcpy(out.data() + header_, frame_.data() + at, payload);
  std::byte* ip = out.data() + ip_at_;
  const std::size_t ip_header = header_ - ip_at_ - udp_header, datagram = udp_header + payload;
  is_ipv6_ ? write_ipv6(ip, datagram) : write_ipv4(ip, ip_header, datagram, i);
  store_network(ip + ip_header + 4, static_cast<std::uint16_t>(datagram));
  return header_ + payload;
}

}  // namespace fastudp
