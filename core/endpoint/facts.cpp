#include "endpoint/facts.h"

#include <linux/errqueue.h>
#include <netinet/in.h>

#include <bit>

#include "base/byte_order.h"

namespace fastudp {
namespace {

in_addr to_in(const ip_address& from) { return std::bit_cast<in_addr>(from.ipv4()); }
in6_addr to_in6(const ip_address& from) { return std::bit_cast<in6_addr>(from.bytes); }

sock_extended_err describe(const queued_error& e) {
  sock_extended_err out{};
  out.ee_errno = static_cast<std::uint32_t>(e.code);
  out.ee_origin = e.origin;
  out.ee_type = e.type;
  out.ee_code = e.icmp_code;
  out.ee_info = e.info;
  out.ee_data = e.data;
  return out;
}

void put_v4_facts(control_writer& out, const ip_facts& facts, int interface, const ip_address& answer_from,
                  const socket_settings& wanted, known_port destination_port) {
  if (wanted.receive_packet_info) {
    out.put(
        IPPROTO_IP, IP_PKTINFO,
        in_pktinfo{.ipi_ifindex = interface, .ipi_spec_dst = to_in(answer_from), .ipi_addr = to_in(facts.destination)});
  }
  if (wanted.receive_ttl) out.put(IPPROTO_IP, IP_TTL, static_cast<int>(facts.ttl));
  if (wanted.receive_tos) out.put(IPPROTO_IP, IP_TOS, facts.tos);
  if (wanted.receive_original && destination_port) {
    out.put(IPPROTO_IP, IP_ORIGDSTADDR, sockaddr_in{AF_INET, htons(*destination_port), to_in(facts.destination), {}});
  }
}

void put_original_v6(control_writer& out, const ip_facts& facts, int interface, std::uint16_t destination_port) {
  constexpr int original_destination = 74;  // IPV6_ORIGDSTADDR
  sockaddr_in6 original{};
  original.sin6_family = AF_INET6;
  original.sin6_port = htons(destination_port);
  original.sin6_addr = to_in6(facts.destination);
  if (facts.destination.is_link_local()) original.sin6_scope_id = static_cast<std::uint32_t>(interface);
  out.put(IPPROTO_IPV6, original_destination, original);
}

}  // namespace

std::uint16_t port_at(const std::byte* ports) { return load_network<std::uint16_t>(ports + sizeof(std::uint16_t)); }

known_port port_at(std::span<const std::byte> ports) {
  return ports.size() >= 2 * sizeof(std::uint16_t) ? known_port(port_at(ports.data())) : std::nullopt;
}

void put_report(control_writer& out, const queued_error& e, ip_family family, bool is_reported, int interface) {
  if (family == ip_family::v4) {
    struct {
      sock_extended_err what;
      sockaddr_in offender;
    } report{describe(e), {}};
    if (is_reported)
      report.offender = {.sin_family = AF_INET, .sin_port = 0, .sin_addr = to_in(e.offender), .sin_zero = {}};
    out.put(IPPROTO_IP, IP_RECVERR, report);
  } else {
    struct {
      sock_extended_err what;
      sockaddr_in6 offender;
    } report{describe(e), {}};
    report.offender.sin6_family = is_reported ? AF_INET6 : AF_UNSPEC;
    if (is_reported) report.offender.sin6_addr = to_in6(e.offender);
    if (e.offender.is_link_local()) report.offender.sin6_scope_id = static_cast<std::uint32_t>(interface);
    out.put(IPPROTO_IPV6, IPV6_RECVERR, report);
  }
}

void put_facts(control_writer& out, const ip_facts& facts, int interface, const ip_address& answer_from,
               const socket_settings& wanted, known_port destination_port) {
  const in6_pktinfo where{.ipi6_addr = to_in6(facts.destination), .ipi6_ifindex = static_cast<unsigned>(interface)};
  if (wanted.v6.receive_packet_info) out.put(IPPROTO_IPV6, IPV6_PKTINFO, where);
  if (facts.destination.is_v4()) return put_v4_facts(out, facts, interface, answer_from, wanted, destination_port);
  if (wanted.v6.receive_hops) out.put(IPPROTO_IPV6, IPV6_HOPLIMIT, static_cast<int>(facts.ttl));
  if (wanted.v6.receive_traffic_class) out.put(IPPROTO_IPV6, IPV6_TCLASS, static_cast<int>(facts.tos));
  if (wanted.v6.receive_packet_info_2292) out.put(IPPROTO_IPV6, IPV6_2292PKTINFO, where);
  if (wanted.v6.receive_hops_2292) out.put(IPPROTO_IPV6, IPV6_2292HOPLIMIT, static_cast<int>(facts.ttl));
  if (wanted.v6.receive_original && destination_port) put_original_v6(out, facts, interface, *destination_port);
}

}  // namespace fastudp
