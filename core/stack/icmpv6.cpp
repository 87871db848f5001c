#include "stack/icmpv6.h"

#include <algorithm>
#include <cstring>

#include "stack/quote.h"
#include "wire/checksum.h"

namespace fastudp {
namespace {

constexpr std::uint32_t icmp_size = fixed_size<icmpv6>;
constexpr std::uint32_t minimum_mtu = 1280;  // RFC 8200 5
// RFC 4443 2.4 (c): as much of the packet as fits into the minimum MTU.
constexpr std::uint32_t longest_quote = minimum_mtu - ipv6_size - icmp_size;
constexpr std::uint8_t first_informational = 128;

std::uint16_t sum_of(const ip_address& source, const ip_address& destination, std::span<const std::byte> message) {
  auto sum = pseudo_header_sum(source, destination, static_cast<std::uint8_t>(ip_protocol::icmpv6),
                               static_cast<std::uint16_t>(message.size()));
  sum.add(message);
  return sum.finish();
}

bool is_error(icmpv6_type type) { return static_cast<std::uint8_t>(type) < first_informational; }

// RFC 4443 2.4 (e), but for the rate.
bool may_report(std::span<const std::byte> offending, bool tell_if_group) {
  const auto ip = view<ipv6>::parse(offending);
  if (!ip) return false;
  const ip_address source = ip->get<&ipv6::source>(), destination = ip->get<&ipv6::destination>();
  if (source.is_any() || source.is_multicast() || (destination.is_multicast() && !tell_if_group)) return false;
  const ipv6_chain chain = walk(offending);
  if (chain.how != ipv6_chain::end::upper || chain.protocol != ip_protocol::icmpv6) return true;
  const auto inner = view<icmpv6>::parse(offending.subspan(std::min<std::size_t>(chain.offset, offending.size())));
  const auto redirect = icmpv6_type::redirect;
  return inner && !is_error(inner->get<&icmpv6::type>()) && inner->get<&icmpv6::type>() != redirect;
}

// Of an echo reply, or of its first piece.
bool is_answer_of(const ip_address& host, std::span<const std::byte> quote) {
  const auto ip = view<ipv6>::parse(quote);
  if (!ip || ip->get<&ipv6::source>() != host) return false;
  const auto message = view<icmpv6>::parse(quoted_in_ipv6(quote, ip_protocol::icmpv6));
  return message && message->get<&icmpv6::type>() == icmpv6_type::echo_reply;
}

}  // namespace

void icmpv6_host::receive(const ip_arrival& message, time_point now) {
  const auto header = view<icmpv6>::parse(message.datagram->bytes());
  if (with_.shared && (!header || !is_error(header->get<&icmpv6::type>()))) return release(message.datagram);
  if (!header || sum_of(message.source, message.destination, message.datagram->bytes()) != 0) {
    with_.count.dropped(drop::icmp_malformed);
    return release(message.datagram);
  }
  switch (header->get<&icmpv6::type>().value()) {
    case icmpv6_type::echo_request:
      return answer_echo(message, now);
    case icmpv6_type::unreachable:
    case icmpv6_type::packet_too_big:
    case icmpv6_type::time_exceeded:
    case icmpv6_type::parameter_problem:
      return receive_error(message, now);
    case icmpv6_type::neighbour_solicitation:
    case icmpv6_type::neighbour_advertisement:
      return with_.ndp.receive(message, now);
    case icmpv6_type::listener_query:
    case icmpv6_type::listener_report:
    case icmpv6_type::listener_done:
    case icmpv6_type::listener_report_v2:
      return with_.mld.receive(message, now);
    case icmpv6_type::router_advertisement:
      return with_.routers.receive(message, now);
    default:
      with_.count.dropped(drop::icmp_ignored);
      return release(message.datagram);
  }
}

// RFC 4443 4.2: a request to a group is answered from an address of ours.
void icmpv6_host::answer_echo(const ip_arrival& request, time_point now) {
  packet* p = request.datagram;
  const ip_address from = request.destination.is_multicast() ? ip_address() : request.destination;
  auto way = with_.out.find_path(request.source, from, now);
  packet* answer = way ? with_.out.take_datagram(p->length) : nullptr;
  if (answer == nullptr) {
    with_.count.dropped(way ? drop::no_memory : drop::no_route);
    return release(p);
  }
  answer->length = p->length;
  std::memcpy(answer->data(), p->data(), p->length);
  release(p);
  mutable_view<icmpv6>::parse(answer->bytes())->set<&icmpv6::type>(icmpv6_type::echo_reply);
  if (now < small_answers_until_) way->mtu = std::min(way->mtu, minimum_mtu);
  send(answer, *way, request.tos, now);
}

void icmpv6_host::send(packet* message, const path& way, std::uint8_t traffic_class, time_point now) {
  const auto header = *mutable_view<icmpv6>::parse(message->bytes());
  header.set<&icmpv6::checksum>(0);
  header.set<&icmpv6::checksum>(sum_of(way.source, way.destination, message->bytes()));
  (void)with_.out.send(way, message,
                       {.protocol = ip_protocol::icmpv6, .ttl = with_.out.hop_limit(), .tos = traffic_class}, now);
}

void icmpv6_host::receive_error(const ip_arrival& message, time_point now) {
  packet& p = *message.datagram;
  const auto header = *view<icmpv6>::parse(p.bytes());
  const auto type = header.get<&icmpv6::type>().value();
  const std::uint32_t rest = header.get<&icmpv6::rest>();
  const quoted_datagram quoted = quote_of(header.payload());
  bool matched = false;
  if (quoted.payload.data() != nullptr && !quoted.about.local.address.is_v4()) {
    const bool too_big = type == icmpv6_type::packet_too_big;
    const icmp_report what{.about = quoted.about,
                           .type = static_cast<std::uint8_t>(type),
                           .code = header.get<&icmpv6::code>(),
                           .mtu = too_big ? rest : 0,
                           .reporter = message.source,
                           .message = facts_of(p),
                           .payload = quoted.payload};
    const bool is_ours = with_.addresses.contains(what.about.local.address) || message.destination.is_loopback();
    matched = is_ours && with_.sink.report(what);
    // Only what a socket of ours could have caused may change how we send, and never to less than every link carries
    // (RFC 8201 4).
    if (matched && too_big && rest >= minimum_mtu &&
        with_.path_mtu.lower(quoted.about.remote.address, rest, with_.link_mtu, now)) {
      with_.out.invalidate_paths();
    }
  }
  if (type == icmpv6_type::packet_too_big && is_answer_of(message.destination, header.payload())) {
    small_answers_until_ = now + path_mtu_cache::lifetime;
    matched = true;
  }
  if (!matched && !with_.shared) with_.count.dropped(drop::icmp_unmatched);
  release(message.datagram);
}

void icmpv6_host::send_error(icmpv6_type type, std::uint8_t code, std::uint32_t rest, const packet& offending,
                             time_point now) {
  const std::uint32_t available = offending.begin + offending.length - offending.network;
  const std::span<const std::byte> quote(offending.frame + offending.network, std::min(available, longest_quote));
  const bool tell_if_group =
      type == icmpv6_type::packet_too_big ||
      (type == icmpv6_type::parameter_problem && code == static_cast<std::uint8_t>(icmpv6_problem_code::option));
  if (!may_report(quote, tell_if_group)) return;
  const auto ip = *view<ipv6>::parse(quote);
  const ip_address to = ip.get<&ipv6::source>(), asked = ip.get<&ipv6::destination>();
  if (!with_.limit.allow(to, now)) return with_.count.dropped(drop::icmp_rate_limited);
  const auto way = with_.out.find_path(to, asked.is_multicast() ? ip_address() : asked, now);
  const auto size = static_cast<std::uint32_t>(icmp_size + quote.size());
  packet* p = way ? with_.out.take_datagram(size) : nullptr;
  if (p == nullptr) return;
  p->length = size;
  const auto header =
      *store(icmpv6{.type = as<icmpv6_type, 8>(type), .code = u<8>(code), .rest = u<32>(rest)}, p->bytes());
  std::memcpy(header.payload().data(), quote.data(), quote.size());
  send(p, *way, 0, now);
}

}  // namespace fastudp
