#include "stack/egress.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "stack/quote.h"
#include "wire/checksum.h"
#include "wire/icmpv4.h"
#include "wire/icmpv6.h"

namespace fastudp {
namespace {

constexpr std::uint16_t dont_fragment = 0x4000, more_fragments = 0x2000;

constexpr ipv4_address loopback_broadcast{{127, 255, 255, 255}};

ip_address loopback(ip_family family) {
  ipv6_address one;
  one.bytes[15] = 1;
  return family == ip_family::v4 ? ip_address(ipv4_address{{127, 0, 0, 1}}) : ip_address(one);
}

bool has_mac(neighbour_state state) {
  return state == neighbour_state::reachable || state == neighbour_state::stale || state == neighbour_state::delay ||
         state == neighbour_state::probe || state == neighbour_state::permanent;
}

}  // namespace

result<path> egress::classify(ip_address destination, ip_address source) const {
  if (!source.is_any() && !source.is_loopback() && !with_.addresses.contains(source)) return error{EINVAL};
  path way;
  way.destination = way.next_hop = destination;
  way.mtu = mtu(destination.family());
  if (destination.is_loopback() || with_.addresses.contains(destination)) {
    way.kind = path_kind::local;
    way.mtu = local_mtu_;
    way.source = source.is_any() ? destination : source;
    if (source.is_any() && destination.is_loopback()) way.source = loopback(destination.family());
    return way;
  }
  if (source.is_loopback()) return error{EINVAL};
  if (destination.is_multicast()) {
    way.kind = path_kind::multicast;
  } else if (destination.is_limited_broadcast() || with_.addresses.is_subnet_broadcast(destination)) {
    way.kind = path_kind::broadcast;
  } else {
    if (auto found = follow_route(way, source); !found) return found.failure();
    return way;
  }
  way.source = source.is_any() ? with_.addresses.source_for(destination, way.next_hop) : source;
  if (way.source.is_any()) return error{ENETUNREACH};
  return way;
}

status egress::follow_route(path& way, ip_address source) const {
  const auto found = with_.routes.lookup(way.destination);
  if (!found) return error{ENETUNREACH};
  if (found->elsewhere) {
    way.kind = path_kind::kernel;
    way.why_kernel = kernel_reason::route;
    return {};
  }
  if (found->gateway) way.next_hop = *found->gateway;
  if (found->mtu != 0) way.mtu = std::min(way.mtu, found->mtu);
  way.source = !source.is_any()          ? source
               : !found->source.is_any() ? found->source
                                         : with_.addresses.source_for(way.destination, way.next_hop);
  return way.source.is_any() ? status(error{ENETUNREACH}) : status{};
}

// What isn't certain to be ours is the kernel's; so nothing fails here.
path egress::classify_shared(ip_address destination, ip_address source) const {
  path way;
  way.destination = way.next_hop = destination;
  way.mtu = mtu(destination.family());
  way.kind = path_kind::kernel;
  const bool is_local = destination.is_loopback() || with_.addresses.contains(destination);
  if (is_local && with_.with_host == sharing::loopback && destination != loopback_broadcast) {
    if (auto here = classify(destination, source)) return *here;
  }
  const bool is_group = destination.is_multicast() || destination.is_limited_broadcast() ||
                        with_.addresses.is_subnet_broadcast(destination);
  way.why_kernel = is_local                                                ? kernel_reason::loopback
                   : is_group                                              ? kernel_reason::group
                   : with_.with_host == sharing::loopback                  ? kernel_reason::route
                   : trouble_ != kernel_reason::count                      ? trouble_
                   : !source.is_any() && !with_.addresses.contains(source) ? kernel_reason::source
                                                                           : kernel_reason::count;
  if (way.why_kernel != kernel_reason::count) return way;
  // Which of several the kernel would choose depends on lifetimes and preferences that only it knows (RFC 6724).
  way.why_kernel = kernel_reason::source;
  if (source.is_any() && !destination.is_v4() && with_.addresses.has_several_global_v6()) return way;
  way.why_kernel = kernel_reason::route;
  if (destination.is_reserved()) return way;
  way.kind = path_kind::unicast;
  if (!follow_route(way, source)) way.kind = path_kind::kernel;
  return way;
}

void egress::set_mtu(std::uint32_t mtu) {
  mtu_ = std::min(mtu, with_.link.info().mtu);
  invalidate_paths();
}

void egress::set_local_mtu(std::uint32_t mtu) {
  local_mtu_ = mtu;
  invalidate_paths();
}

void egress::set_mtu_v6(std::uint32_t mtu) {
  if (mtu == mtu_v6_) return;
  mtu_v6_ = mtu;
  invalidate_paths();
}

void egress::set_trouble(kernel_reason why) {
  trouble_ = why;
  invalidate_paths();
}

result<path> egress::find_path(ip_address destination, ip_address source, time_point now) {
  // Linux: the any address means this host, by IPv4 at the address that it is sent from.
  const bool is_at_source = destination.is_v4() && source.is_v4() && !source.is_any();
  if (destination.is_any()) destination = is_at_source ? source : loopback(destination.family());
  if (!source.is_any() && source.family() != destination.family()) return error{ENETUNREACH};
  auto found = with_.with_host == sharing::none ? classify(destination, source)
                                                : result<path>(classify_shared(destination, source));
  if (!found) return found;
  path& way = *found;
  const bool leaves = way.kind != path_kind::local && way.kind != path_kind::kernel;
  if (leaves && trouble_ != kernel_reason::count) return error{ENETDOWN};
  way.asked_source = source;
  way.generation = generation_;
  way.link_sums = leaves && with_.link.sums_udp();
  mac_address to{};
  switch (way.kind) {
    case path_kind::local:
      way.resolved = true;
      break;
    case path_kind::broadcast:
      way.resolved = true, to = broadcast_mac;
      break;
    case path_kind::multicast:
      way.resolved = true, to = group_mac(destination);
      break;
    case path_kind::unicast:
      resolve(way, to, now);
      break;
    case path_kind::kernel:
      break;
  }
  write_template(way, to);
  return found;
}

void egress::resolve(path& way, mac_address& to, time_point now) {
  const bool asks = with_.with_host == sharing::none;  // otherwise the kernel asks, and we are told
  const neighbour* next = asks ? with_.neighbours.use(way.next_hop, now) : with_.neighbours.find(way.next_hop);
  way.resolved = next != nullptr && has_mac(next->state);
  if (way.resolved) to = next->mac;
  if (!asks && next != nullptr && next->state == neighbour_state::stale) {
    // The kernel sends this one, and by that begins to ask; what follows needn't wait for the answer.
    way.resolved = false;
    (void)with_.neighbours.set(way.next_hop, to, neighbour_state::permanent);
  }
  if (!way.resolved && !asks) {
    way.kind = path_kind::kernel;
    way.why_kernel = kernel_reason::unresolved;
  }
  const auto learnt = with_.path_mtu.lookup(way.destination, now);
  if (learnt.mtu != 0) way.mtu = std::min(way.mtu, learnt.mtu);
  way.mtu_floor = learnt.floor;
}

void egress::write_template(path& way, const mac_address& to) const {
  const std::span<std::byte> headers(way.headers);
  const ether_type type = way.is_v4() ? ether_type::ipv4 : ether_type::ipv6;
  store(ethernet{.destination = to, .source = with_.link.info().mac, .type = type}, headers);
  const auto inner = headers.subspan(ethernet_size);
  if (way.is_v4()) {
    store(ipv4{.source = way.source.ipv4(), .destination = way.destination.ipv4()}, inner);
  } else {
    store(ipv6{.source = way.source.ipv6(), .destination = way.destination.ipv6()}, inner);
    way.secret = static_cast<std::uint32_t>(mix(way.source, mix(way.destination, flow_secret_)));
  }
}

std::uint32_t egress::longest_whole(const path& way, const ip_choices& choices) const {
  return way.kind != path_kind::local && choices.ignore_path_mtu ? mtu(way.destination.family()) : way.mtu;
}

packet* egress::take_datagram(std::uint32_t size) {
  if (size + ipv4_size <= with_.link.info().mtu) return take_frame();
  return with_.store.take(size);
}

void egress::push_ipv4(const path& way, packet* p, const ip_choices& choices, std::uint16_t flags_and_offset,
                       std::uint16_t identification) const {
  const auto header = p->push(ipv4_size);
  std::memcpy(header.data(), way.headers.data() + ethernet_size, ipv4_size);
  const auto view = *mutable_view<ipv4>::parse(header);
  view.set<&ipv4::dscp>(u<6>::masked(choices.tos >> 2));
  view.set<&ipv4::ecn>(u<2>::masked(choices.tos));
  view.set<&ipv4::total_length>(u<16>::masked(p->length));
  view.set<&ipv4::identification>(identification);
  view.set<&ipv4::flags>(u<3>::masked(flags_and_offset >> 13));
  view.set<&ipv4::fragment_offset>(u<13>::masked(flags_and_offset));
  view.set<&ipv4::ttl>(choices.ttl);
  view.set<&ipv4::protocol>(choices.protocol);
  view.set<&ipv4::checksum>(checksum(header));
  p->network = p->begin;
}

void egress::push_ipv6(const path& way, packet* p, const ip_choices& choices, ip_protocol next) const {
  const std::uint32_t payload = p->length;
  const auto header = p->push(ipv6_size);
  std::memcpy(header.data(), way.headers.data() + ethernet_size, ipv6_size);
  const auto view = *mutable_view<ipv6>::parse(header);
  const auto label = choices.flow_label >= 0 ? static_cast<std::uint32_t>(choices.flow_label)
                                             : static_cast<std::uint32_t>(mix(choices.ports, way.secret));
  view.set<&ipv6::first>(ipv6::first_word(choices.tos, label));
  view.set<&ipv6::payload_length>(u<16>::masked(payload));
  view.set<&ipv6::next_header>(next);
  view.set<&ipv6::hop_limit>(choices.ttl);
  p->network = p->begin;
}

void egress::push_fragment_header(packet* p, const ip_choices& choices, std::uint32_t at, bool last,
                                  std::uint32_t identification) {
  store(ipv6_fragment{.next_header = choices.protocol,
                      .place = u<16>::masked(last ? at : at | ipv6_fragment::more),
                      .identification = identification},
        p->push(fixed_size<ipv6_fragment>));
}

status egress::send(const path& way, packet* payload, const ip_choices& choices, time_point now) {
  // IPv4's limit counts the header, IPv6's doesn't.
  const std::uint32_t total = payload->length + way.ip_size();
  if ((way.is_v4() ? total : payload->length) > longest_ip_datagram) return release(payload), error{EMSGSIZE};
  payload->transport = payload->begin;
  payload->priority = choices.priority;
  const std::uint32_t limit = longest_whole(way, choices);
  if (total > limit && !choices.may_fragment) return release(payload), error{EMSGSIZE};
  if (total > limit && way.kind != path_kind::local) return send_fragments(way, payload, choices, now);
  if (!way.is_v4()) {
    push_ipv6(way, payload, choices, choices.protocol);
    return emit(way, payload, choices, now);
  }
  // RFC 6864 4.1: the identification of a datagram that can't be fragmented has no meaning.
  const std::uint16_t identification = choices.dont_fragment ? std::uint16_t{0}
                                       : choices.identification >= 0
                                           ? static_cast<std::uint16_t>(choices.identification)
                                           : static_cast<std::uint16_t>(random_.next());
  push_ipv4(way, payload, choices, choices.dont_fragment ? dont_fragment : std::uint16_t{0}, identification);
  return emit(way, payload, choices, now);
}

// RFC 791 3.2, RFC 8200 4.5. The pieces are multiples of eight bytes but for the last.
status egress::send_fragments(const path& way, packet* whole, const ip_choices& choices, time_point now) {
  const std::uint32_t limit = longest_whole(way, choices);
  const std::uint32_t headers = way.is_v4() ? ipv4_size : ipv6_size + fixed_size<ipv6_fragment>;
  const std::uint32_t step = (limit - headers) & ~std::uint32_t{7};
  const auto identification = static_cast<std::uint32_t>(random_.next());
  status outcome;
  for (std::uint32_t at = 0; at < whole->length && outcome; at += step) {
    const std::uint32_t size = std::min(step, whole->length - at);
    packet* piece = take_frame();
    if (piece == nullptr) {
      with_.count.dropped(drop::no_memory);
      outcome = error{ENOBUFS};
      break;
    }
    std::memcpy(piece->data(), whole->data() + at, size);
    piece->length = size;
    piece->priority = choices.priority;
    const bool last = at + size == whole->length;
    if (way.is_v4()) {
      push_ipv4(way, piece, choices, static_cast<std::uint16_t>((last ? 0 : more_fragments) | at / 8),
                static_cast<std::uint16_t>(identification));
    } else {
      push_fragment_header(piece, choices, at, last, identification);
      push_ipv6(way, piece, choices, ip_protocol::fragment);
    }
    outcome = emit(way, piece, choices, now);
  }
  release(whole);
  return outcome;
}

// As it is on the wire; to ourselves with the link header of Linux's loopback, whose addresses are zero.
void egress::keep_copy(const path& way, const packet& datagram, packet*& kept) {
  kept = with_.store.copy(datagram);
  if (kept == nullptr) return;
  const auto header = kept->push(ethernet_size);
  std::memcpy(header.data(), way.headers.data(), ethernet_size);
  if (way.kind == path_kind::local) std::fill_n(header.begin(), 2 * sizeof(mac_address), std::byte{});
}

status egress::emit(const path& way, packet* datagram, const ip_choices& choices, time_point now) {
  if (choices.keep != nullptr && *choices.keep == nullptr) [[unlikely]]
    keep_copy(way, *datagram, *choices.keep);
  if (way.kind == path_kind::local) {
    datagram->checksum = checksum_state::verified;
    datagram->stamp = 0;  // it may have come in by itself before
    to_ourselves_.push(datagram);
    return {};
  }
  const bool is_group = way.kind == path_kind::multicast;
  if (way.kind == path_kind::broadcast || (is_group && choices.loop && with_.groups.contains(way.destination))) {
    send_copy_to_ourselves(*datagram);
  }
  if (is_group && (choices.ttl == 0 || way.destination.is_interface_local_group())) return release(datagram), status{};
  std::memcpy(datagram->push(ethernet_size).data(), way.headers.data(), ethernet_size);
  return way.resolved ? try_transmit(datagram) : park(way, datagram, now);
}

// A broadcast is for this host too, and so is what goes to a group that it is in.
void egress::send_copy_to_ourselves(const packet& datagram) {
  packet* copy = with_.store.copy(datagram);
  if (copy == nullptr) return with_.count.dropped(drop::no_memory);
  copy->checksum = checksum_state::verified;
  copy->stamp = 0;
  to_ourselves_.push(copy);
}

// The neighbour was unknown when the path was found; by now it may be known.
status egress::park(const path& way, packet* frame, time_point now) {
  neighbour* next = with_.neighbours.use(way.next_hop, now);
  if (next != nullptr && has_mac(next->state)) {
    release_parked(frame, next->mac);
    return {};
  }
  if (next == nullptr) {
    with_.count.dropped(drop::neighbour_table);
    return release(frame), error{ENOBUFS};
  }
  // Like Linux, a full queue drops its oldest and says nothing to the sender.
  with_.neighbours.park(*next, frame);
  return {};
}

status egress::try_transmit(packet* frame) {
  if (burst_.room() == 0) push_burst();
  if (burst_.room() == 0) {
    with_.count.dropped(drop::link_tx_full);
    return release(frame), error{ENOBUFS};
  }
  with_.count.tx_frames.add();
  with_.count.tx_bytes.add(frame->length);
  burst_.append(frame);
  return {};
}

void egress::push_burst() { burst_.forget_front(with_.link.tx_burst(burst_)); }

void egress::flush() {
  if (burst_.empty()) return;
  push_burst();
  with_.link.tx_flush();
}

void egress::solicit(const ip_address& target, const mac_address* unicast_to) {
  const ip_address source = with_.addresses.source_for(target, target);
  if (target.is_v4()) {
    with_.arp.solicit(target.ipv4(), source.is_any() ? ipv4_address{} : source.ipv4(), unicast_to);
  } else {
    with_.ndp.solicit(target, source, unicast_to);
  }
}

void egress::release_parked(packet* frame, const mac_address& to) {
  std::memcpy(frame->data(), to.bytes.data(), to.bytes.size());
  (void)try_transmit(frame);
}

// RFC 1122 2.3.2.2, RFC 4861 7.2.2. Told to the socket as Linux tells it: as an ICMP error of our own.
void egress::unreachable(packet* frame) {
  with_.count.dropped(drop::neighbour_failed);
  const auto inner = frame->bytes().subspan(ethernet_size);
  const auto quoted = quote_of(inner);
  if (quoted.payload.data() != nullptr) {
    const bool is_v4 = quoted.about.local.address.is_v4();
    const auto v4 = is_v4 ? view<ipv4>::parse(inner) : std::nullopt;
    const auto type = is_v4 ? static_cast<std::uint8_t>(icmpv4_type::unreachable)
                            : static_cast<std::uint8_t>(icmpv6_type::unreachable);
    const auto code = is_v4 ? static_cast<std::uint8_t>(icmpv4_unreachable_code::host)
                            : static_cast<std::uint8_t>(icmpv6_unreachable_code::address);
    const ip_address source = quoted.about.local.address;
    with_.sink.report({.about = quoted.about,
                       .type = type,
                       .code = code,
                       .reporter = source,
                       .message = {.source = source,
                                   .destination = source,
                                   .ttl = ip_choices{}.ttl,
                                   .tos = v4 ? tos_of_error(*v4) : std::uint8_t{0}},
                       .payload = quoted.payload});
  }
  release(frame);
}

}  // namespace fastudp
