#pragma once
// Datagrams by hand, so that nothing of ours is its own judge.

#include <string>
#include <string_view>

#include "unit/link/namespace.h"

namespace fastudp::test {

inline std::uint32_t sum_of(std::string_view bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])) << (i % 2 == 0 ? 8 : 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

inline std::string number16(std::uint32_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }

inline std::string pseudo_header(std::string_view addresses, std::size_t udp_length) {
  return std::string(addresses) + number16(17) + number16(static_cast<std::uint32_t>(udp_length));
}

inline std::string ipv4_pair(char from, char to) {
  return std::string("\x0a\0\0", 3) + from + std::string("\x0a\0\0", 3) + to;
}
inline std::string ipv6_pair(char from, char to) {
  return "\xfd" + std::string(14, '\0') + from + "\xfd" + std::string(14, '\0') + to;
}

// From 10.0.0.9 to 10.0.0.1, unless it is said otherwise; over IPv6 with longer addresses.
struct datagram {
  std::string payload;
  std::string addresses = ipv4_pair(9, 1);
  std::uint16_t from = 7000, to = 7001;
  std::uint16_t identification = 0, fragment = 0x4000;
  std::uint8_t ttl = 64, tos = 0;
  bool has_sum = true;
  std::string options = "";

  bool is_v6() const { return addresses.size() == 32; }
  std::string udp() const {
    const std::size_t length = 8 + payload.size();
    std::string out =
        number16(from) + number16(to) + number16(static_cast<std::uint32_t>(length)) + number16(0) + payload;
    if (has_sum) out.replace(6, 2, number16(~sum_of(out, sum_of(pseudo_header(addresses, length))) & 0xffff));
    return out;
  }
  std::string ipv4() const {
    const std::size_t header = 20 + options.size(), total = header + 8 + payload.size();
    std::string out = number16(0x4000u | static_cast<unsigned>(header / 4) << 8 | tos) +
                      number16(static_cast<std::uint32_t>(total)) + number16(identification) + number16(fragment) +
                      number16(static_cast<unsigned>(ttl) << 8 | 17) + number16(0) + addresses + options;
    out.replace(10, 2, number16(~sum_of(out) & 0xffff));
    return out;
  }
  std::string ipv6() const {
    const std::string flow("\x05\x06\x07", 3);
    return std::string(1, '\x60') + flow + number16(static_cast<std::uint32_t>(8 + payload.size())) +
           number16(17u << 8 | ttl) + addresses;
  }
  frame in(const mac_address& destination, const mac_address& source) const {
    return ethernet(destination, source, (is_v6() ? ipv6() : ipv4()) + udp(), is_v6() ? 0x86dd : 0x0800);
  }
};

// A super-packet as a sender with a VLAN of its own makes it: the tag is in its bytes.
inline void put_super_packet(const std::string& interface, const frame& bytes, std::uint16_t each) {
  const descriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  const int on = 1;
  ASSERT_EQ(::setsockopt(socket.number(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on), 0);
  constexpr std::uint8_t udp_segments = 5;
  constexpr std::uint16_t udp_at = ETH_HLEN + 4 + 20;
  struct {
    std::uint8_t flags, kind;
    std::uint16_t header, size, sum_from, sum_at;
  } const said{1, udp_segments, udp_at + 8, each, udp_at, 6};
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  const std::string message = std::string(reinterpret_cast<const char*>(&said), sizeof said) + bytes;
  ASSERT_EQ(::sendto(socket.number(), message.data(), message.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
            static_cast<ssize_t>(message.size()))
      << std::strerror(errno);
}

}  // namespace fastudp::test
