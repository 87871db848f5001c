// Any bytes as an Ethernet frame, walked as deep as its types say.
#include "wire/ethernet.h"

#include "fuzz/wire/header_checks.h"
#include "wire/arp.h"
#include "wire/icmpv4.h"
#include "wire/ipv4.h"
#include "wire/udp.h"
#include "wire/vlan.h"

namespace fastudp {
namespace {

void walk_ipv4(std::span<const std::byte> packet) {
  const auto header = check_header<ipv4>(packet);
  if (!header) return;
  if (header->get<&ipv4::protocol>() == ip_protocol::udp) check_header<udp>(header->payload());
  if (header->get<&ipv4::protocol>() == ip_protocol::icmp) check_header<icmpv4>(header->payload());
}

void walk(ether_type type, std::span<const std::byte> payload) {
  if (type == ether_type::ipv4) walk_ipv4(payload);
  if (type == ether_type::arp) check_header<arp>(payload);
  if (type != ether_type::vlan) return;
  if (const auto tag = check_header<vlan>(payload)) walk(tag->get<&vlan::type>(), tag->payload());
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using fastudp::ethernet;
  if (const auto frame = fastudp::check_header<ethernet>(fastudp::input(data, size))) {
    fastudp::walk(frame->get<&ethernet::type>(), frame->payload());
  }
  return 0;
}
