// Any bytes as an IPv6 header, as each extension header, and as the checksum of a datagram between two addresses.
#include "wire/ipv6.h"

#include "fuzz/wire/checksum_checks.h"
#include "fuzz/wire/header_checks.h"
#include "wire/checksum.h"

namespace fastudp {
namespace {

void check_word(std::uint32_t first) {
  const auto again = ipv6::first_word(ipv6::traffic_class_of(first), first);
  require((again ^ first) << 4 == 0, "traffic class and flow label are all of the first word but the version");
  require(ipv6::version_of(first) == first >> 28, "which stands in front");
}

// RFC 8200 8.1, word by word.
void check_sum(std::span<const std::byte> header, std::span<const std::byte> payload) {
  if (payload.size() > 0xffff) return;
  const auto length = static_cast<std::uint16_t>(payload.size());
  const std::byte rest[] = {std::byte(length >> 8), std::byte(length & 0xff), std::byte{0}, std::byte{58}};
  ipv6_address source, destination;
  std::memcpy(source.bytes.data(), &header[8], 16);
  std::memcpy(destination.bytes.data(), &header[24], 16);
  if (ip_address(source).is_v4()) return;
  auto sum = pseudo_header_sum(ip_address(source), ip_address(destination), 58, length);
  sum.add(payload);
  require(sum.folded() == plain_sum(payload, plain_sum(rest, plain_sum(header.subspan(8, 32)))),
          "the sum is the plain sum");
}

void check(std::span<const std::byte> packet) {
  if (const auto header = check_header<ipv6>(packet)) {
    check_word(header->get<&ipv6::first>());
    check_sum(packet.first(fixed_size<ipv6>), header->payload());
  }
  check_header<ipv6_extension>(packet);
  check_header<ipv6_fragment>(packet);
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::check(fastudp::input(data, size));
  return 0;
}
