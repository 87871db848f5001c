#include "stack/ndp.h"

#include <algorithm>

#include "packet/pool.h"
#include "stack/nd_options.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"

namespace fastudp {
namespace {

// RFC 4862 5.1 and RFC 4861 10.
constexpr duration longest_delay = second, retransmit = second;
constexpr std::uint8_t own_hop_limit = 255;

// The link-layer address in the options behind a message. False: malformed, an option of length 0 (RFC 4861 4.6).
bool find_mac(std::span<const std::byte> options, nd_option_type wanted, const mac_address*& found, mac_address& room) {
  for (auto each = next_nd_option(options); !each.empty(); each = next_nd_option(options)) {
    const auto option = view<nd_link_layer_option>::parse(each);
    if (option && option->get<&nd_link_layer_option::type>() == wanted) {
      room = option->get<&nd_link_layer_option::mac>();
      found = &room;
    }
  }
  return options.empty();
}

// IPv4's neighbours, which an IPv4-mapped address would be, are ARP's.
bool is_possible(const ip_address& target) { return !target.is_multicast() && !target.is_v4(); }
bool is_possible(const mac_address* mac) { return mac == nullptr || (!mac->is_group() && !mac->is_zero()); }

}  // namespace

// RFC 4861 7.1: what came through a router, or isn't well formed, is nobody's; RFC 6980 5: nor is what came in
// fragments.
void ndp_responder::receive(const ip_arrival& message, time_point now) {
  const auto header = view<icmpv6>::parse(message.datagram->bytes());
  const bool is_near = message.ttl == own_hop_limit && !message.was_cut && header->get<&icmpv6::code>() == 0;
  const auto type = header->get<&icmpv6::type>().value();
  if (is_near && type == icmpv6_type::neighbour_solicitation) {
    receive_solicitation(message, now);
  } else if (is_near && type == icmpv6_type::neighbour_advertisement) {
    receive_advertisement(message, now);
  } else {
    count_.dropped(drop::icmp_ignored);
  }
  release(message.datagram);
}

void ndp_responder::receive_solicitation(const ip_arrival& message, time_point now) {
  const auto asked = view<neighbour_solicitation>::parse(message.datagram->bytes());
  const mac_address* sender = nullptr;
  mac_address room;
  const bool is_whole = asked && find_mac(asked->payload(), nd_option_type::source_link_layer, sender, room);
  const bool is_probe = message.source.is_any();
  const ip_address target = is_whole ? ip_address(asked->get<&neighbour_solicitation::target>()) : ip_address();
  if (!is_whole || !is_possible(target) || !is_possible(sender) ||
      (is_probe && (sender != nullptr || message.destination != solicited_node_group(target)))) {
    return count_.dropped(drop::icmp_malformed);
  }
  // RFC 4862 5.4.3: of what isn't ours yet, only another's wish for it matters.
  if (ours_.is_tentative(target) && is_probe) return conflict(target, now);
  if (ours_.contains(message.source)) return conflict(message.source, now);
  if (!ours_.contains(target)) return;
  if (is_probe) {  // another host wants to use it
    conflict(target, now);
    return advertise(target, all_nodes_group, group_mac(all_nodes_group), false);
  }
  const heard_as how = ours_.is_on_link(message.source) ? heard_as::request_to_us : heard_as::other_request;
  if (sender != nullptr) neighbours_.heard(message.source, *sender, how, now);
  const neighbour* known = neighbours_.find(message.source);
  const mac_address* to = sender != nullptr                                 ? sender
                          : known != nullptr && known->mac != mac_address{} ? &known->mac
                                                                            : nullptr;
  if (to != nullptr) advertise(target, message.source, *to, true);
}

// RFC 4861 7.2.5. Without the override flag it doesn't replace an address that is known.
void ndp_responder::receive_advertisement(const ip_arrival& message, time_point now) {
  const auto told = view<neighbour_advertisement>::parse(message.datagram->bytes());
  const mac_address* mac = nullptr;
  mac_address room;
  const bool is_whole = told && find_mac(told->payload(), nd_option_type::target_link_layer, mac, room);
  const ip_address target = is_whole ? ip_address(told->get<&neighbour_advertisement::target>()) : ip_address();
  const bool is_solicited = is_whole && told->get<&neighbour_advertisement::solicited>() != 0;
  if (!is_whole || !is_possible(target) || !is_possible(mac) || (is_solicited && message.destination.is_multicast())) {
    return count_.dropped(drop::icmp_malformed);
  }
  if (ours_.contains(target) || ours_.is_tentative(target)) return conflict(target, now);
  const neighbour* known = neighbours_.find(target);
  if (known == nullptr) return;
  const bool has_mac = known->state != neighbour_state::incomplete && known->state != neighbour_state::failed;
  if (mac == nullptr && !has_mac) return;
  const mac_address is_at = mac != nullptr ? *mac : known->mac;
  if (has_mac && is_at != known->mac && told->get<&neighbour_advertisement::override_flag>() == 0) return;
  neighbours_.heard(target, is_at, is_solicited ? heard_as::solicited_reply : heard_as::other_reply, now);
  if (told->get<&neighbour_advertisement::router>() == 0) events_.is_no_router(target, now);
}

void ndp_responder::solicit(const ip_address& target, const ip_address& source, const mac_address* unicast_to) {
  if (source.is_any()) return;
  const ip_address group = solicited_node_group(target);
  if (unicast_to != nullptr) {
    send_solicitation(target, source, target, *unicast_to);
  } else {
    send_solicitation(target, source, group, group_mac(group));
  }
}

void ndp_responder::solicit_routers(const ip_address& source) {
  const nd_link_layer_option self{.type = nd_option_type::source_link_layer, .mac = mac_};
  send(router_solicitation{}, &self, source, all_routers_group, group_mac(all_routers_group));
}

void ndp_responder::send_solicitation(const ip_address& target, const ip_address& source, const ip_address& to,
                                      const mac_address& to_mac) {
  const nd_link_layer_option self{.type = nd_option_type::source_link_layer, .mac = mac_};
  send(neighbour_solicitation{.target = target.ipv6()}, source.is_any() ? nullptr : &self, source, to, to_mac);
}

void ndp_responder::advertise(const ip_address& target, const ip_address& to, const mac_address& to_mac,
                              bool solicited) {
  const nd_link_layer_option self{.type = nd_option_type::target_link_layer, .mac = mac_};
  send(neighbour_advertisement{.solicited = u<1>::masked(solicited), .override_flag = 1, .target = target.ipv6()},
       &self, target, to, to_mac);
}

template <typename Message>
void ndp_responder::send(const Message& message, const nd_link_layer_option* option, const ip_address& source,
                         const ip_address& to, const mac_address& to_mac) {
  packet* p = out_.take_frame();
  if (p == nullptr) return count_.dropped(drop::no_memory);
  const std::size_t size = fixed_size<Message> + (option != nullptr ? fixed_size<nd_link_layer_option> : 0);
  p->length = static_cast<std::uint32_t>(fixed_size<ethernet> + fixed_size<ipv6> + size);
  const auto outer = *store(ethernet{.destination = to_mac, .source = mac_, .type = ether_type::ipv6}, p->bytes());
  const auto ip = *store(ipv6{.payload_length = u<16>::masked(size),
                              .next_header = ip_protocol::icmpv6,
                              .hop_limit = own_hop_limit,
                              .source = source.ipv6(),
                              .destination = to.ipv6()},
                         outer.payload());
  const auto body = *store(message, ip.payload());
  if (option != nullptr) store(*option, body.payload());
  auto sum =
      pseudo_header_sum(source, to, static_cast<std::uint8_t>(ip_protocol::icmpv6), static_cast<std::uint16_t>(size));
  sum.add(ip.payload());
  body.template set<&Message::checksum>(sum.finish());
  out_.transmit(p);
}

// ---- Our own addresses

ndp_responder::claimed* ndp_responder::find(const ip_address& address) {
  auto* const end = claims_.data() + claim_count_;
  auto* const found = std::find_if(claims_.data(), end, [&](const claimed& c) { return c.address == address; });
  return found != end ? found : nullptr;
}

void ndp_responder::claim(const ip_address& address, time_point now) {
  forget(address);
  if (claim_count_ == claims_.size()) return;
  claimed& c = claims_[claim_count_++];
  const auto delay = random_.below(static_cast<std::uint32_t>(longest_delay / microsecond));
  c = {.address = address, .due = now + static_cast<duration>(delay) * microsecond};
  deadline_ = std::min(deadline_, c.due);
}

void ndp_responder::forget(const ip_address& address) {
  claimed* found = find(address);
  if (found == nullptr) return;
  std::copy(found + 1, claims_.data() + claim_count_, found);
  --claim_count_;
}

// RFC 4862 5.4.2: one solicitation from no address; whoever has it answers. Then RFC 4861 7.2.6.
void ndp_responder::take_step(claimed& c, time_point now) {
  c.due = never;
  if (c.probed) {
    const ip_address address = c.address;
    events_.is_unique(address, now);
    return advertise(address, all_nodes_group, group_mac(all_nodes_group), false);
  }
  c.probed = true;
  c.due = now + retransmit;
  const ip_address group = solicited_node_group(c.address);
  send_solicitation(c.address, {}, group, group_mac(group));
}

void ndp_responder::advance(time_point now) {
  if (now < deadline_) return;
  for (std::size_t i = 0; i < claim_count_; ++i) {
    if (claims_[i].due <= now) take_step(claims_[i], now);
  }
  // Not in one loop: a step may have changed what is claimed.
  deadline_ = never;
  for (std::size_t i = 0; i < claim_count_; ++i) deadline_ = std::min(deadline_, claims_[i].due);
}

void ndp_responder::conflict(const ip_address& address, time_point now) {
  count_.address_conflicts.add();
  claimed* c = find(address);
  if (c != nullptr && c->due != never) c->due = never;
  events_.is_taken(address, now);
}

}  // namespace fastudp
