#include "stack/icmp.h"

#include <algorithm>
#include <cstring>

#include "stack/quote.h"
#include "wire/checksum.h"

namespace fastudp {
namespace {

constexpr std::uint32_t icmp_size = 8;
// RFC 1812 4.3.2.3: as much of the packet as fits without the error exceeding 576 bytes.
constexpr std::uint32_t longest_quote = 576 - ipv4_size - icmp_size;

// Neither DF nor a constant identification: an answer may have to be fragmented on its way, and nobody learns if not.
constexpr ip_choices answer_with(std::uint8_t tos) {
  return {.protocol = ip_protocol::icmp, .tos = tos, .dont_fragment = false, .ignore_path_mtu = true};
}

bool is_error(icmpv4_type type) {
  return type == icmpv4_type::unreachable || type == icmpv4_type::source_quench || type == icmpv4_type::redirect ||
         type == icmpv4_type::time_exceeded || type == icmpv4_type::parameter_problem;
}

// As on Linux: codes that nobody has defined, and a reassembly that failed elsewhere, are not told to sockets.
bool is_told(const view<icmpv4>& header) {
  constexpr std::uint8_t last_unreachable = 15, reassembly_time = 1;
  const std::uint8_t code = header.get<&icmpv4::code>();
  if (header.get<&icmpv4::type>() == icmpv4_type::unreachable) return code <= last_unreachable;
  return header.get<&icmpv4::type>() != icmpv4_type::time_exceeded || code != reassembly_time;
}

// RFC 1122 3.2.2: no error about an error, a later fragment, or what came from or went to more than one host.
bool may_report(const view<ipv4>& offending, const local_addresses& addresses) {
  const ip_address source = offending.get<&ipv4::source>(), destination = offending.get<&ipv4::destination>();
  if (offending.get<&ipv4::fragment_offset>() != 0) return false;
  if (source.is_any() || source.is_multicast() || source.is_reserved()) return false;
  if (destination.is_multicast() || destination.is_limited_broadcast()) return false;
  if (addresses.is_subnet_broadcast(source) || addresses.is_subnet_broadcast(destination)) return false;
  if (offending.get<&ipv4::protocol>() != ip_protocol::icmp) return true;
  const auto inner = view<icmpv4>::parse(offending.payload());
  return inner && !is_error(inner->get<&icmpv4::type>());
}

}  // namespace

void icmp_host::receive(const ip_arrival& message, time_point now) {
  const auto header = view<icmpv4>::parse(message.datagram->bytes());
  if (shared_ && (!header || !is_error(header->get<&icmpv4::type>().value()))) return release(message.datagram);
  if (!header || !verify_checksum(message.datagram->bytes())) {
    count_.dropped(drop::icmp_malformed);
    return release(message.datagram);
  }
  switch (header->get<&icmpv4::type>().value()) {
    case icmpv4_type::echo_request:
      return answer_echo(message, now);
    case icmpv4_type::unreachable:
    case icmpv4_type::time_exceeded:
    case icmpv4_type::parameter_problem:
      if (!is_told(*header)) break;
      return receive_error(message, now);
    default:
      break;
  }
  count_.dropped(drop::icmp_ignored);
  release(message.datagram);
}

void icmp_host::answer_echo(const ip_arrival& request, time_point now) {
  packet* p = request.datagram;
  // RFC 1122 3.2.2.6 lets a host ignore requests to many; as on Linux, no one may make a crowd answer.
  if (request.group) {
    count_.dropped(drop::icmp_ignored);
    return release(p);
  }
  packet* answer = out_.take_datagram(p->length);
  if (answer == nullptr) {
    count_.dropped(drop::no_memory);
    return release(p);
  }
  answer->length = p->length;
  std::memcpy(answer->data(), p->data(), p->length);
  release(p);
  const auto header = *mutable_view<icmpv4>::parse(answer->bytes());
  header.set<&icmpv4::type>(icmpv4_type::echo_reply);
  header.set<&icmpv4::checksum>(0);
  header.set<&icmpv4::checksum>(checksum(answer->bytes()));
  const auto way = out_.find_path(request.source, request.destination, now);
  if (!way) {
    count_.dropped(drop::no_route);
    return release(answer);
  }
  (void)out_.send(*way, answer, answer_with(request.tos), now);
}

void icmp_host::receive_error(const ip_arrival& message, time_point now) {
  packet& p = *message.datagram;
  const auto header = *view<icmpv4_unreachable>::parse(p.bytes());
  const auto type = header.get<&icmpv4_unreachable::type>().value();
  const auto code = header.get<&icmpv4_unreachable::code>().value();
  // The quote is the start of a datagram, so its total length is larger than what is here; the view goes by the bytes.
  const quoted_datagram quoted = quote_of(header.payload());
  bool matched = false;
  if (quoted.payload.data() != nullptr && quoted.about.local.address.is_v4()) {
    const bool too_big = type == icmpv4_type::unreachable && code == icmpv4_unreachable_code::fragmentation_needed;
    const ip_address destination = quoted.about.remote.address;
    icmp_report what{.about = quoted.about,
                     .type = static_cast<std::uint8_t>(type),
                     .code = static_cast<std::uint8_t>(code),
                     .mtu = too_big ? std::uint32_t{header.get<&icmpv4_unreachable::next_hop_mtu>()} : 0,
                     .reporter = message.source,
                     .message = facts_of(p),
                     .payload = quoted.payload};
    // A message to a loopback address is from ourselves.
    const bool is_ours = addresses_.contains(what.about.local.address) || message.destination.is_loopback();
    matched = is_ours && sink_.report(what);
    // Only what a socket of ours could have caused may change how we send.
    if (matched && too_big && path_mtu_.lower(destination, what.mtu, link_mtu_, now)) out_.invalidate_paths();
  }
  if (!matched && !shared_) count_.dropped(drop::icmp_unmatched);
  release(message.datagram);
}

void icmp_host::send_error(icmpv4_type type, std::uint8_t code, const packet& offending, time_point now) {
  const std::uint32_t available = offending.begin + offending.length - offending.network;
  const std::span<const std::byte> quote(offending.frame + offending.network, std::min(available, longest_quote));
  const auto ip = view<ipv4>::parse(quote);
  if (!ip || !may_report(*ip, addresses_)) return;
  const ip_address to = ip->get<&ipv4::source>();
  if (!limit_.allow(to, now)) return count_.dropped(drop::icmp_rate_limited);
  const auto way = out_.find_path(to, ip->get<&ipv4::destination>(), now);
  packet* p = way ? out_.take_datagram(static_cast<std::uint32_t>(icmp_size + quote.size())) : nullptr;
  if (p == nullptr) return;
  p->length = static_cast<std::uint32_t>(icmp_size + quote.size());
  const auto header = *store(icmpv4{.type = as<icmpv4_type, 8>(type), .code = u<8>(code)}, p->bytes());
  std::memcpy(header.payload().data(), quote.data(), quote.size());
  header.set<&icmpv4::checksum>(checksum(p->bytes()));
  (void)out_.send(*way, p, answer_with(tos_of_error(*ip)), now);
}

}  // namespace fastudp
