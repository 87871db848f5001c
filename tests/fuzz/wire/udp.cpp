// Any bytes as two IPv4 addresses and a UDP datagram between them.
#include "wire/udp.h"

#include "fuzz/wire/checksum_checks.h"
#include "fuzz/wire/header_checks.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"

namespace fastudp {
namespace {

std::uint16_t plain_udp_sum(std::span<const std::byte> addresses, std::span<const std::byte> datagram) {
  const auto length = static_cast<std::uint16_t>(datagram.size());
  const std::byte rest[] = {std::byte{0}, std::byte{17}, std::byte(length >> 8), std::byte(length & 0xff)};
  return plain_sum(datagram, plain_sum(rest, plain_sum(addresses)));
}

checksum_sum udp_sum(std::span<const std::byte> addresses, std::span<const std::byte> datagram) {
  ipv4_address source, destination;
  std::memcpy(source.bytes.data(), addresses.data(), 4);
  std::memcpy(destination.bytes.data(), addresses.data() + 4, 4);
  auto sum = pseudo_header_sum(source, destination, 17, static_cast<std::uint16_t>(datagram.size()));
  sum.add(datagram);
  return sum;
}

void check(std::span<const std::byte> bytes) {
  if (bytes.size() < 8 || bytes.size() > 0xffff) return;
  const auto addresses = bytes.first(8), datagram = bytes.subspan(8);
  require(udp_sum(addresses, datagram).folded() == plain_udp_sum(addresses, datagram), "the sum is the plain sum");
  if (!check_header<udp>(datagram)) return;

  octet_string copy(datagram.begin(), datagram.end());
  const auto m = *mutable_view<udp>::parse(copy);
  m.set<&udp::checksum>(0);
  m.set<&udp::checksum>(as_udp_checksum(udp_sum(addresses, copy).finish()));
  require(m.get<&udp::checksum>() != 0, "0 would say that there is no checksum");
  require(udp_sum(addresses, copy).verifies(), "the checksum that we compute verifies");
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::check(fastudp::input(data, size));
  return 0;
}
