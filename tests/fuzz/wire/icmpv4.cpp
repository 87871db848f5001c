// Any bytes as an ICMP message, in each of its layouts.
#include "wire/icmpv4.h"

#include "fuzz/wire/checksum_checks.h"
#include "fuzz/wire/header_checks.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"

namespace fastudp {
namespace {

void check(std::span<const std::byte> message) {
  const auto any = check_header<icmpv4>(message);
  const auto echo = check_header<icmpv4_echo>(message);
  const auto unreachable = check_header<icmpv4_unreachable>(message);
  require(any.has_value() == echo.has_value() && any.has_value() == unreachable.has_value(), "all have one length");
  require(verify_checksum(message) == (plain_sum(message) == 0xffff), "the checksum is verified");
  if (!any) return;
  const auto words =
      static_cast<std::uint32_t>(echo->get<&icmpv4_echo::identifier>() << 16) | echo->get<&icmpv4_echo::sequence>();
  require(any->get<&icmpv4::rest>() == words, "identifier and sequence are the rest of the header");
  require((words & 0xffff) == unreachable->get<&icmpv4_unreachable::next_hop_mtu>(), "so is the next hop's MTU");
  if (any->get<&icmpv4::type>() == icmpv4_type::unreachable) check_header<ipv4>(any->payload());
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::check(fastudp::input(data, size));
  return 0;
}
