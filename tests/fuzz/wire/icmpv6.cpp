// Any bytes as an ICMPv6 message, in each of its layouts.
#include "wire/icmpv6.h"

#include "fuzz/wire/header_checks.h"

namespace fastudp {
namespace {

void check(std::span<const std::byte> message) {
  const auto any = check_header<icmpv6>(message);
  const auto wanted = check_header<router_solicitation>(message);
  const auto router = check_header<router_advertisement>(message);
  const auto asked = check_header<neighbour_solicitation>(message);
  const auto told = check_header<neighbour_advertisement>(message);
  const auto option = check_header<nd_option>(message);
  const auto mtu = check_header<nd_mtu_option>(message);
  const auto prefix = check_header<nd_prefix_option>(message);
  check_header<nd_link_layer_option>(message);
  require((option || !mtu) && (mtu || !prefix) && (wanted || !router), "the longer ones begin as the shorter ones");
  require(!mtu || option->get<&nd_option::length>() == mtu->get<&nd_mtu_option::length>(),
          "the length is the second byte");
  require(!router || router->get<&router_advertisement::lifetime>() == (any->get<&icmpv6::rest>() & 0xffff),
          "the lifetime is the end of the rest");
  require(asked.has_value() == told.has_value() && (any || !asked), "both have one length, and begin as every message");
  if (!asked) return;
  require(asked->get<&neighbour_solicitation::target>() == told->get<&neighbour_advertisement::target>(),
          "the target stands at the same place");
  const std::uint32_t flags = any->get<&icmpv6::rest>() >> 29;
  require(flags == (std::uint32_t{told->get<&neighbour_advertisement::router>()} << 2 |
                    std::uint32_t{told->get<&neighbour_advertisement::solicited>()} << 1 |
                    told->get<&neighbour_advertisement::override_flag>()),
          "the flags are the first bits of the rest");
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::check(fastudp::input(data, size));
  return 0;
}
