#include "socket/udp_socket.h"

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "socket/icmp_errno.h"
#include "socket/udp_layer.h"
#include "wire/checksum.h"
#include "wire/udp.h"

namespace fastudp {
namespace {

// What IP_MTU_DISCOVER says: whether DF is set, whether we fragment, whose MTU counts.
struct discovery {
  bool always_df, df_when_it_fits, may_fragment, ignore_path;
};
constexpr discovery discovery_modes[] = {
    {false, false, true, false},  // IP_PMTUDISC_DONT
    {false, true, true, false},   // IP_PMTUDISC_WANT
    {true, false, false, false},  // IP_PMTUDISC_DO
    {true, false, false, true},   // IP_PMTUDISC_PROBE
    {false, false, false, true},  // IP_PMTUDISC_INTERFACE
    {false, false, true, true},   // IP_PMTUDISC_OMIT
};

}  // namespace

endpoint_address sender_of(const packet& datagram) {
  constexpr std::uint32_t source_v4 = 12, source_v6 = 8;
  const std::byte* header = datagram.frame + datagram.network;
  endpoint_address out;
  out.port = load_network<std::uint16_t>(datagram.frame + datagram.transport);
  if (is_ipv4(*header)) {
    ipv4_address source;
    std::memcpy(source.bytes.data(), header + source_v4, source.bytes.size());
    out.address = source;
  } else {
    std::memcpy(out.address.bytes.data(), header + source_v6, out.address.bytes.size());
  }
  return out;
}

udp_socket::udp_socket(udp_layer& layer, ip_family family) : layer_(layer), family_(family) {
  entry_.owner = this;
  entry_.local.address = source_ = ip_address::any(family);
  settings_.receive_buffer = layer.limits().receive_default;
  settings_.send_buffer = layer.limits().send_default;
}

udp_socket::~udp_socket() {
  layer_.forget_member(*this);
  if (settings_.stamps.is_counted) layer_.want_stamps(false);
  layer_.ports().unbind(entry_);
  received_.release_all();
  errors_.release_all();
}

status udp_socket::set_v6_only(bool only) {
  if (entry_.local.port != 0) return error{EINVAL};
  entry_.v6_only = only;
  return {};
}

bool udp_socket::is_of_many(const ip_address& address) const {
  return address.is_multicast() || address.is_limited_broadcast() ||
         layer_.below().addresses().is_subnet_broadcast(address);
}

status udp_socket::bind(endpoint_address where) {
  if (auto fits = check_family(where.address); !fits) return fits;
  const local_addresses& ours = layer_.below().addresses();
  const ip_address address = where.address;
  if (!address.is_any() && !address.is_loopback() && !is_of_many(address) && !ours.contains(address))
    return error{EADDRNOTAVAIL};
  if (entry_.local.port != 0) return error{EINVAL};
  const auto bound = where.port == 0 ? layer_.ports().bind_ephemeral(entry_, address, layer_.below().random())
                                     : layer_.ports().bind(entry_, where);
  if (bound) note_bound({address, where.port});
  return bound;
}

void udp_socket::take_place(const endpoint_address& where) {
  layer_.ports().move(entry_, where, nullptr);
  note_bound(where);
}

void udp_socket::note_bound(const endpoint_address& where) {
  const ip_address& address = where.address;
  address_is_chosen_ = !address.is_any();
  if (family_ == ip_family::v6 && address_is_chosen_ && !address.is_v4()) entry_.v6_only = true;  // as Linux does
  // A socket bound to a group receives for it, and sends from an address of ours.
  if (!is_of_many(address)) source_ = address;
  port_is_chosen_ = where.port != 0;
}

// An IPv4 socket knows no IPv6; an IPv6 socket takes IPv4-mapped addresses unless told not to.
status udp_socket::check_family(const ip_address& address) const {
  if (family_ == ip_family::v4 && !address.is_v4()) return error{EAFNOSUPPORT};
  if (family_ == ip_family::v6 && address.is_v4() && entry_.v6_only) return error{EINVAL};
  return {};
}

void udp_socket::follow(const endpoint_address& local, const endpoint_address* peer) {
  layer_.ports().move(entry_, local, peer);
  entry_.local.address = source_ = local.port != 0 ? local.address : ip_address::any(family_);
}

status udp_socket::bind_ephemeral() {
  if (entry_.local.port != 0) return {};
  const auto bound = layer_.ports().bind_ephemeral(entry_, entry_.local.address, layer_.below().random());
  return bound ? bound : error{EAGAIN};
}

status udp_socket::connect(endpoint_address peer, time_point now) {
  if (auto bound = bind_ephemeral(); !bound) return bound;
  if (!check_family(peer.address)) return error{family_ == ip_family::v4 ? EAFNOSUPPORT : ENETUNREACH};
  if (is_of_the_other_ip(peer.address) && !peer.address.is_any()) return refuse_other_ip(peer.address, now);
  auto way = path_to(peer.address, source_for(peer.address, {}), now);
  if (!way) return way.failure();
  if ((*way)->kind == path_kind::broadcast && !settings_.broadcast) return error{EACCES};
  // One of IPv6 keeps the address that it has by a peer of IPv6, though it sends from another.
  if (source_.is_any() || source_.is_v4() == (*way)->source.is_v4()) source_ = (*way)->source;
  const ip_address local = entry_.local.address.is_any() ? source_ : entry_.local.address;
  layer_.ports().connect(entry_, {local, entry_.local.port}, {(*way)->destination, peer.port});
  return {};
}

void udp_socket::disconnect() {
  if (entry_.local.port == 0) return;
  endpoint_address keep = entry_.local;
  if (!address_is_chosen_) keep.address = source_ = ip_address::any(family_);
  if (!port_is_chosen_) keep.port = 0;
  layer_.ports().disconnect(entry_, keep);
}

status udp_socket::shut_down(bool reading, bool writing) {
  shut_reading_ |= reading;
  shut_writing_ |= writing;
  arrived();
  return entry_.connected ? status{} : error{ENOTCONN};
}

result<path*> udp_socket::path_to(ip_address destination, ip_address source, time_point now) {
  egress& out = layer_.below().out();
  if (out.is_current(path_) && path_.destination == destination && path_.asked_source == source) return &path_;
  auto found = out.find_path(destination, source, now);
  if (!found) return found.failure();
  path_ = *found;
  return &path_;
}

ip_choices udp_socket::choices_for(const path& way, const send_choices& choices, std::size_t total) const {
  if (!way.is_v4()) return choices_v6(way, choices);
  const discovery& mode = discovery_modes[settings_.mtu_discover];
  const int own_ttl = choices.ttl >= 0 ? choices.ttl : settings_.ttl;
  const int ttl = way.kind == path_kind::multicast ? settings_.multicast_ttl : own_ttl >= 0 ? own_ttl : default_ttl;
  return {.ttl = static_cast<std::uint8_t>(ttl),
          .tos = choices.tos >= 0 ? static_cast<std::uint8_t>(choices.tos) : settings_.tos,
          .priority = priority_on_link(choices.priority >= 0 ? choices.priority
                                       : choices.tos >= 0    ? priority_of_tos(static_cast<std::uint8_t>(choices.tos))
                                                             : settings_.priority),
          .dont_fragment = mode.always_df || (mode.df_when_it_fits && total <= way.mtu && !way.mtu_floor),
          .may_fragment = mode.may_fragment,
          .ignore_path_mtu = mode.ignore_path,
          .loop = settings_.multicast_loop};
}

ip_choices udp_socket::choices_v6(const path& way, const send_choices& choices) const {
  const auto& own = settings_.v6;
  const discovery& mode = discovery_modes[own.mtu_discover];
  const int hops = choices.hops >= 0                  ? choices.hops
                   : way.kind == path_kind::multicast ? own.multicast_hops
                   : own.hops >= 0                    ? own.hops
                                                      : layer_.below().out().hop_limit();
  const int own_class = choices.traffic_class >= 0 ? choices.traffic_class : own.traffic_class;
  const std::uint32_t label = ipv6::flow_label_of(choices.flow_info);
  const bool dont_fragment = choices.dont_fragment >= 0 ? choices.dont_fragment != 0 : own.dont_fragment;
  return {.ttl = static_cast<std::uint8_t>(hops),
          .tos = static_cast<std::uint8_t>(own_class),
          .priority = priority_on_link(choices.priority >= 0 ? choices.priority : settings_.priority),
          .may_fragment = mode.may_fragment && !dont_fragment,
          .ignore_path_mtu = mode.ignore_path,
          .loop = own.multicast_loop,
          .flow_label = label != 0 || !own.automatic_flow_label ? static_cast<int>(label) : -1};
}

// Fails here, before anything is built, and says so in the error queue as Linux does.
status udp_socket::check_size(const path& way, const ip_choices& ip, bool in_segments, std::size_t total,
                              const endpoint_address& to) {
  const std::uint32_t longest = longest_ip_datagram + (way.is_v4() ? 0 : ipv6_size);  // IPv6 doesn't count its header
  const std::uint32_t mtu = in_segments ? longest : layer_.below().out().longest_whole(way, ip);
  const bool fits_into_ip = !way.is_v4() || total <= longest_ip_datagram;
  if (fits_into_ip && total <= (ip.may_fragment ? longest : mtu)) return {};
  if (has_companion_ && layer_.below().with_host() != sharing::none) {  // errors are the kernel's to tell
    why_kernel_ = kernel_reason::fragment;
    return error{left_to_kernel};
  }
  if (wants_errors(way.is_v4())) {
    errors_.push({.code = EMSGSIZE,
                  .origin = SO_EE_ORIGIN_LOCAL,
                  .info = mtu,
                  // IPv4 names the peer's port even if it went elsewhere.
                  .destination = {to.address, way.is_v4() ? entry_.remote.port : to.port},
                  .offender = {},
                  .stamp = settings_.stamps.wanted ? layer_.events().wall_time() : 0},
                 {}, settings_.receive_buffer, layer_.below().store());
  }
  return error{EMSGSIZE};
}

// Linux has made the datagram by now: it is done with, and makes room again for who waits for that.
error udp_socket::refuse_segments(const send_choices& choices, const status& why) {
  choices.completes ? complete_sends(1, false) : arrived();
  return why.failure();
}

result<udp_socket::departure> udp_socket::prepare(std::size_t size, const endpoint_address* to,
                                                  const send_choices& choices, time_point now, extent of) {
  // Linux binds before it looks at anything else.
  if (auto bound = bind_ephemeral(); !bound) return bound.failure();
  const endpoint_address destination = destination_of(to != nullptr ? *to : entry_.remote);
  const endpoint_address* named = to != nullptr ? &destination : nullptr;
  if (auto good = check_destination(size, named, choices.is_out_of_band); !good) return good.failure();
  if (has_companion_ && is_kernels_to_judge(choices)) {
    why_kernel_ = kernel_reason::option;
    return error{left_to_kernel};
  }
  if (const int refusal = choices.refusal_over(family_over(destination.address)); refusal != 0) return error{refusal};
  if (choices.stamp_id >= 0 && (settings_.stamps.flags & stamping::with_id) == 0) return error{EINVAL};
  // The device may have a clock, which is out of reach here.
  const bool may_have_hardware = layer_.below().with_host() == sharing::interface;
  if (may_have_hardware && (stamps_for(choices) & stamping::tx_hardware) != 0) {
    why_kernel_ = kernel_reason::option;
    return error{left_to_kernel};
  }
  if (is_by_another_interface(choices, to != nullptr ? to->address : entry_.remote.address)) {
    why_kernel_ = kernel_reason::route;
    return error{has_companion_ ? left_to_kernel : ENODEV};
  }
  if (choices.has_v6_source && destination.address.is_v4()) return error{EINVAL};
  if (has_companion_ && is_kernels_by_address(destination)) {
    why_kernel_ = kernel_reason::route;
    return error{left_to_kernel};
  }
  if (is_of_the_other_ip(destination.address)) return refuse_other_ip(destination.address, now);
  auto way = path_to(destination.address, source_for(destination.address, choices), now);
  const std::size_t segment = choices.segment >= 0 ? static_cast<std::size_t>(choices.segment) : settings_.segment;
  const std::size_t headers = udp_size + (way ? (*way)->ip_size() : ipv4_size);
  const std::size_t total = headers + (segment != 0 ? std::min(size, segment) : size);
  // Only on an address of our own, which the kernel couldn't send from either.
  if (way.code() == ENETDOWN) return way.failure();
  if (has_companion_) {
    if (!way) why_kernel_ = kernel_reason::route;
    if (!way || is_the_kernels(**way, destination, total)) return error{left_to_kernel};
  }
  if (!way) return way.failure();
  if (choices.only_on_link && !is_on_link(**way)) return error{ENETUNREACH};
  if ((*way)->kind == path_kind::broadcast && !settings_.broadcast) return error{EACCES};
  if (choices.is_probe) return departure{destination, *way, {}, 0, 0, 0};
  ip_choices ip = choices_for(**way, choices, headers + size);
  ip.ports = std::uint32_t{entry_.local.port} << 16 | destination.port;
  if (auto fits = check_size(**way, ip, segment != 0, headers + size, destination); !fits) return fits.failure();
  if (of != extent::all_pieces) {
    const bool may_be_kernels = has_companion_ && pending_error_ == 0;
    if (const int pending = may_be_kernels ? layer_.events().take_kernel_error(*this, now) : take_error()) {
      return error{pending};
    }
    if (shut_writing_) return error{EPIPE};
  }
  if (of == extent::unreadable) return error{EFAULT};
  if (segment != 0 && of != extent::first_piece) {
    const auto fits = check_segments(**way, ip, size, segment);
    if (!fits) return refuse_segments(choices, fits);
  }
  if (choices.confirm) layer_.below().neighbours().confirm((*way)->next_hop, now);
  const std::uint32_t each = segment < size ? static_cast<std::uint32_t>(segment) : 0;
  return departure{destination, *way, ip, each, stamps_for(choices), choices.stamp_id};
}

// The loopback interface's number is 1 on every Linux. To an address of another one it is another way, even within the
// host.
bool udp_socket::is_by_another_interface(const send_choices& choices, const ip_address& destination) const {
  if (choices.interface == 0) return false;
  if (layer_.below().with_host() != sharing::loopback) return choices.interface != layer_.below().device().interface;
  return choices.interface != 1 || !destination.is_loopback();
}

ip_address udp_socket::source_for(const ip_address& destination, const send_choices& choices) const {
  if (destination.is_v4() && choices.has_v4_source) return choices.source_v4;
  if (!destination.is_v4() && !choices.source.is_any()) return choices.source;
  // A socket of IPv6 that is connected has an address of its own, and sends by IPv4 all the same.
  if (destination.is_v4() && !source_.is_v4()) return ip_address::any(ip_family::v4);
  const bool is_v4_group = destination.is_v4() && destination.is_multicast();
  return is_v4_group && source_.is_any() ? settings_.multicast_source : source_;
}

bool udp_socket::is_the_kernels(const path& way, const endpoint_address& to, std::size_t total) {
  const sharing with_host = layer_.below().with_host();
  if (way.kind == path_kind::kernel) {
    why_kernel_ = way.why_kernel;
    return true;
  }
  const bool needs_scope = with_host != sharing::none && to.address.needs_interface();
  if (needs_scope && to.scope != static_cast<std::uint32_t>(layer_.below().device().interface)) {
    why_kernel_ = kernel_reason::route;
    return true;
  }
  if (way.kind == path_kind::local && (way.destination.is_loopback() || with_host == sharing::loopback)) {
    constexpr std::size_t loopback_mtu = 65'536;
    if (with_host == sharing::loopback && total > loopback_mtu) {
      why_kernel_ = kernel_reason::fragment;
      return true;
    }
    why_kernel_ = kernel_reason::loopback;  // unless a socket of ours is there, another process may have one
    const port_entry* found = layer_.ports().find({{way.destination, to.port}, {way.source, entry_.local.port}});
    return found == nullptr || (with_host == sharing::loopback && layer_.events().kernel_is_ahead(*found->owner));
  }
  why_kernel_ = kernel_reason::fragment;
  return way.kind == path_kind::unicast && with_host == sharing::interface && total > way.mtu;
}

// A link can't sum what it never has in one piece. What is short is summed before a device is told what to sum.
bool udp_socket::is_left_to_link(const departure& by, std::uint32_t length) const {
  constexpr std::uint32_t worth_telling = 512;
  return by.way->link_sums && length >= worth_telling && !(settings_.no_checksum && by.way->is_v4()) &&
         by.way->ip_size() + length <= layer_.below().out().longest_whole(*by.way, by.ip);
}

void udp_socket::write_header(const departure& by, packet* p, std::span<const std::byte> payload_to_copy) {
  const auto length = static_cast<std::uint16_t>(udp_size + p->length);
  auto sum =
      pseudo_header_sum(by.way->source, by.way->destination, static_cast<std::uint8_t>(ip_protocol::udp), length);
  const auto header = *store(udp{.source_port = entry_.local.port, .destination_port = by.to.port, .length = length},
                             p->push(udp_size));
  if (is_left_to_link(by, length)) {
    header.set<&udp::checksum>(sum.folded());
    p->checksum = checksum_state::partial;
    if (!payload_to_copy.empty()) std::memcpy(p->data() + udp_size, payload_to_copy.data(), payload_to_copy.size());
    return;
  }
  sum.add(header.header());
  if (payload_to_copy.empty()) {
    sum.add(p->bytes().subspan(udp_size));
  } else {
    sum.add_copy(p->data() + udp_size, payload_to_copy);
  }
  header.set<&udp::checksum>(as_udp_checksum(sum.finish()));
  p->checksum = checksum_state::own;
  // RFC 768: none. Over IPv6 Linux has an option of UDP for that.
  if (settings_.no_checksum && by.way->is_v4()) header.set<&udp::checksum>(0);
}

status udp_socket::send(std::span<const std::byte> payload, const endpoint_address* to, const send_choices& choices,
                        time_point now) {
  const auto sent = send_whole(payload, to, choices, now);
  if (sent && choices.completes && !choices.is_probe) complete_sends(1);
  return sent;
}

status udp_socket::send_whole(std::span<const std::byte> payload, const endpoint_address* to,
                              const send_choices& choices, time_point now) {
  const bool is_readable = payload.data() != nullptr || payload.empty();
  const auto by = prepare(payload.size(), to, choices, now, is_readable ? extent::whole : extent::unreadable);
  if (!by || choices.is_probe) return by ? status{} : by.failure();
  if (by->segment != 0) return send_segments(*by, payload, now);
  packet* p = datagram_of(*by, payload);
  return p != nullptr ? depart(*by, p, now) : error{ENOBUFS};
}

packet* udp_socket::datagram_of(const departure& by, std::span<const std::byte> payload) {
  packet* p = layer_.below().out().take_datagram(static_cast<std::uint32_t>(udp_size + payload.size()));
  if (p == nullptr) return nullptr;
  p->length = static_cast<std::uint32_t>(payload.size());
  p->joins = joining::alone;
  write_header(by, p, payload);
  return p;
}

status udp_socket::send_packet(packet* payload, const endpoint_address* to, const send_choices& choices,
                               time_point now) {
  const auto by = prepare(payload->length, to, choices, now);
  if (!by) return by.failure();
  if (by->segment != 0) {
    if (auto sent = send_segments(*by, payload->bytes(), now); !sent) return sent;
    if (choices.completes) complete_sends(1);
    release(payload);
    return {};
  }
  payload->checksum = checksum_state::unknown;
  payload->joins = joining::alone;
  write_header(*by, payload, {});
  // From here on the packet is gone, and so a full link is a loss, as on Linux.
  (void)depart(*by, payload, now);
  if (choices.completes) complete_sends(1);
  return {};
}

std::uint32_t udp_socket::stamps_for(const send_choices& choices) const {
  const std::uint32_t wanted =
      choices.stamps >= 0 ? static_cast<std::uint32_t>(choices.stamps) : settings_.stamps.flags;
  return wanted & stamping::numbered;
}

// When it went is told in the error queue, with the frame as it is on the wire.
status udp_socket::depart_stamped(const departure& by, packet* datagram, time_point now) {
  const std::uint32_t flags = settings_.stamps.flags;
  const bool is_numbered = (flags & stamping::with_id) != 0;
  queued_error what{.code = ENOMSG, .origin = SO_EE_ORIGIN_TIMESTAMPING, .destination = {}, .offender = {}};
  if (is_numbered) what.data = by.stamp_id >= 0 ? static_cast<std::uint32_t>(by.stamp_id) : next_stamp_id(*this);
  packet* frame = nullptr;
  ip_choices ip = by.ip;
  if ((flags & stamping::stamp_only) == 0) ip.keep = &frame;
  const auto sent = layer_.below().out().send(*by.way, datagram, ip, now);
  if (sent) {
    layer_.count().tx_datagrams.add();
    what.stamp = layer_.events().wall_time();
    if (frame != nullptr) what.message = facts_of(*frame);
    what.info = SCM_TSTAMP_SCHED;
    if ((by.stamps & stamping::tx_scheduled) != 0) report_departure(what, frame);
    what.info = SCM_TSTAMP_SND;
    if ((by.stamps & stamping::tx_software) != 0) report_departure(what, frame);
  }
  if (frame != nullptr) release(frame);
  return sent;
}

void udp_socket::report_departure(const queued_error& what, packet* frame) {
  frame_store& store = layer_.below().store();
  const std::span<const std::byte> content = frame != nullptr ? frame->bytes() : std::span<const std::byte>();
  if (errors_.push(what, content, settings_.receive_buffer, store)) arrived();
}

status udp_socket::depart(const departure& by, packet* datagram, time_point now) {
  if (by.stamps != 0) [[unlikely]]
    return depart_stamped(by, datagram, now);
  const auto sent = layer_.below().out().send(*by.way, datagram, by.ip, now);
  if (sent) layer_.count().tx_datagrams.add();
  return sent;
}

packet* udp_socket::pop_error(queued_error& what) {
  packet* p = errors_.pop(what);
  queued_error next;
  if (errors_.peek(next) && next.is_icmp()) {
    pending_error_ = next.code;
  } else if (p != nullptr && what.is_icmp()) {
    pending_error_ = 0;
  }
  return p;
}

void udp_socket::complete_sends(std::uint32_t count, bool copied) {
  if (count == 0) return;
  const std::uint32_t first = completed_sends_;
  completed_sends_ += count;
  errors_.complete(first, completed_sends_ - 1, copied, settings_.receive_buffer, layer_.below().store());
  arrived();
}

bool udp_socket::hears(const ip_address& group, const ip_address& source) const {
  if (const source_filter* filter = groups_.find(group)) return filter->allows(source);
  return group.is_v4() ? settings_.multicast_all : settings_.v6.multicast_all;
}

void udp_socket::leave_groups(time_point now) {
  groups_.leave_all([&](const ip_address& group) { (void)layer_.listen(*this, group, now); });
}

packet* udp_socket::peek(std::uint32_t& offset) const {
  offset = static_cast<std::uint32_t>(std::max(settings_.peek_offset, 0));
  packet* p = received_.front();
  const bool counts = settings_.peek_offset >= 0;
  while (counts && p != nullptr && offset >= p->length && (offset != 0 || p->peeked)) {
    offset -= p->length;
    p = p->next;
  }
  return p;
}

std::size_t udp_socket::bytes_waiting() const {
  std::size_t out = 0;
  for (const packet* each = received_.front(); each != nullptr; each = each->next) out += each->length;
  return out;
}

void udp_socket::moved_by(std::int64_t bytes) {
  if (settings_.peek_offset < 0) return;
  settings_.peek_offset = static_cast<int>(std::max<std::int64_t>(settings_.peek_offset + bytes, 0));
}

int udp_socket::take_error() { return std::exchange(pending_error_, 0); }

// What a program gets as one datagram, with UDP_GRO, is kept or lost as one.
bool udp_socket::keep(packet* datagram, std::uint32_t charged_for) {
  auto place = place_in_row::first;
  if (settings_.receive_joined) [[unlikely]]
    place = row_.add(received_.back(), *datagram, layer_.burst());
  datagram->joins = place == place_in_row::piece || place == place_in_row::joined ? joining::always : joining::alone;
  if (place == place_in_row::piece) {
    received_.join(datagram);
    return true;
  }
  if (place != place_in_row::piece_of_lost && received_.push(datagram, settings_.receive_buffer, charged_for))
    return true;
  row_.lose();
  return false;
}

void udp_socket::receive_joined(bool wanted) {
  settings_.receive_joined = wanted;
  row_ = {};
}

void udp_socket::release_front() {
  release(pop());
  while (received_.front() != nullptr && received_.front()->joins == joining::always) release(pop());
}

// The filter sees the UDP header as well, which it can't cut off.
bool udp_socket::passes_filter(packet& datagram) {
  const std::uint32_t kept = filter_.run(layer_.filter_input_of(datagram, udp_size));
  if (kept == 0) return false;
  datagram.length = std::min(datagram.length, std::max<std::uint32_t>(kept, udp_size) - udp_size);
  return true;
}

void udp_socket::accept(packet* datagram) {
  const bool was_empty = received_.empty();
  const std::uint32_t charged_for = datagram->length;  // what a filter cuts off stays in memory
  datagram->is_placed = settings_.receive_packet_info || settings_.v6.receive_packet_info;
  if (!filter_.empty() && !passes_filter(*datagram)) [[unlikely]] {
    layer_.count().dropped(drop::socket_filter);
    lose();
    release(datagram);
    return;
  }
  if (!keep(datagram, charged_for)) {
    layer_.count().dropped(drop::queue_full);
    lose();
    release(datagram);
    return;
  }
  datagram->drops = settings_.receive_drops ? drops_ : 0;
  datagram->peeked = false;
  layer_.count().rx_datagrams.add();
  ++arrivals_;
  if (was_empty || std::exchange(announces_next_, false)) layer_.events().became_ready(*this);
}

void udp_socket::arrived() {
  ++arrivals_;
  layer_.events().became_ready(*this);
}

// RFC 1122 4.1.3.3; which errors a socket hears of unasked is Linux's.
void udp_socket::report(const icmp_report& what) {
  if (layer_.below().with_host() != sharing::none) return layer_.events().kernel_has_error(*this);
  const bool is_v4 = what.about.remote.address.is_v4();
  socket_error meaning = is_v4 ? errno_of_icmp(what.type, what.code) : errno_of_icmpv6(what.type, what.code);
  if (meaning.code == EMSGSIZE) {
    const int mode = is_v4 ? settings_.mtu_discover : settings_.v6.mtu_discover;
    if (is_v4 ? mode == IP_PMTUDISC_DONT : mode >= IP_PMTUDISC_INTERFACE) return;
    meaning.fatal = mode != IP_PMTUDISC_DONT;
  }
  if (wants_errors(is_v4)) {
    errors_.push({.code = meaning.code,
                  .origin = is_v4 ? std::uint8_t{SO_EE_ORIGIN_ICMP} : std::uint8_t{SO_EE_ORIGIN_ICMP6},
                  .type = what.type,
                  .icmp_code = what.code,
                  .info = what.mtu,
                  .destination = what.about.remote,
                  .offender = what.reporter,
                  .message = what.message,
                  .stamp = settings_.stamps.wanted ? layer_.events().wall_time() : 0},
                 what.payload, settings_.receive_buffer, layer_.below().store());
  } else if (!meaning.fatal || !entry_.connected) {
    return;
  }
  pending_error_ = meaning.code;
  arrived();
}

bool udp_socket::knows_path() const {
  return entry_.connected && layer_.below().out().is_current(path_) && path_.destination == entry_.remote.address;
}

result<std::uint32_t> udp_socket::path_mtu(time_point now) {
  if (!entry_.connected) return error{ENOTCONN};
  const auto way = path_to(entry_.remote.address, source_, now);
  if (!way) return way.failure();
  return (*way)->mtu;
}

}  // namespace fastudp
