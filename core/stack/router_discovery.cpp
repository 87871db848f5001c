#include "stack/router_discovery.h"

#include <algorithm>

#include "packet/pool.h"
#include "stack/nd_options.h"

namespace fastudp {
namespace {

constexpr std::uint8_t own_hop_limit = 255, identifier_bits = 64;
constexpr std::uint32_t for_ever = 0xffff'ffff, minimum_mtu = 1280;
constexpr duration two_hours = 7200 * second;

time_point after(std::uint32_t seconds, time_point now) {
  const duration lasts = static_cast<duration>(seconds) * second;
  return seconds == for_ever || lasts > never - now ? never : now + lasts;
}

// RFC 4861 6.3.4 and RFC 4862 5.5.3 (b): the link-local prefix is every host's. In ::/8 (RFC 4291 2.4) stand addresses
// that mean something else, IPv4's among them.
bool is_possible(const ip_address& prefix, std::uint8_t length) {
  return length <= 128 && prefix.bytes[0] != 0 && !prefix.is_multicast() && !prefix.is_link_local();
}

// RFC 4862 5.5.3 (a), (c) and (d).
bool forms_addresses(const nd_prefix_option& told) {
  return told.autonomous != 0 && told.preferred_lifetime <= told.valid_lifetime &&
         told.prefix_length == 128 - identifier_bits;
}

}  // namespace

void router_discovery::start(bool when_unique, time_point now) {
  is_on_ = true;
  waits_ = when_unique;
  if (waits_) return;
  const auto delay = with_.random.below(static_cast<std::uint32_t>(longest_delay / microsecond));
  next_solicitation_ = now + static_cast<duration>(delay) * microsecond;
  find_deadline();
}

// RFC 4861 6.1.2
void router_discovery::receive(const ip_arrival& message, time_point now) {
  const auto told = view<router_advertisement>::parse(message.datagram->bytes());
  const bool is_near = message.ttl == own_hop_limit && message.source.is_link_local();
  if (!is_on_ || !is_near || (told && told->get<&router_advertisement::code>() != 0)) {
    with_.count.dropped(drop::icmp_ignored);
  } else if (!told || !are_nd_options(told->payload())) {
    with_.count.dropped(drop::icmp_malformed);
  } else {
    accept(message.source, *told, now);
  }
  release(message.datagram);
}

// RFC 4861 6.3.4
void router_discovery::accept(const ip_address& router, const view<router_advertisement>& told, time_point now) {
  const std::uint16_t lifetime = told.get<&router_advertisement::lifetime>();
  const std::uint8_t hops = told.get<&router_advertisement::hop_limit>();
  if (hops != 0) with_.events.set_hop_limit(hops);
  learn_router(router, static_cast<duration>(lifetime) * second, now);
  auto options = told.payload();
  for (auto each = next_nd_option(options); !each.empty(); each = next_nd_option(options)) {
    accept_option(router, each, now);
  }
  // RFC 4861 6.3.7: one question is asked in any case, since what comes unasked may be incomplete.
  if (lifetime != 0 && solicitations_ != 0) next_solicitation_ = never;
  choose_router();
  find_deadline();
}

void router_discovery::accept_option(const ip_address& router, std::span<const std::byte> option, time_point now) {
  switch (view<nd_option>::parse(option)->get<&nd_option::type>().value()) {
    case nd_option_type::source_link_layer: {
      const mac_address mac = view<nd_link_layer_option>::parse(option)->get<&nd_link_layer_option::mac>();
      // One that we won't send by isn't worth an entry of its own.
      const heard_as how = is_known(router) ? heard_as::request_to_us : heard_as::other_request;
      if (!mac.is_group() && !mac.is_zero()) with_.neighbours.heard(router, mac, how, now);
      return;
    }
    case nd_option_type::prefix_information:
      if (const auto told = view<nd_prefix_option>::parse(option)) learn_prefix(told->value(), now);
      return;
    case nd_option_type::mtu: {
      const std::uint32_t mtu = view<nd_mtu_option>::parse(option)->get<&nd_mtu_option::mtu>();
      if (mtu >= minimum_mtu && mtu <= link_mtu_) with_.events.set_mtu_v6(mtu);
      return;
    }
    default:
      return;
  }
}

// ---- Routers

void router_discovery::learn_router(const ip_address& router, duration lifetime, time_point now) {
  auto* const end = routers_.data() + router_count_;
  auto* found = std::ranges::find(routers_.data(), end, router, &known_router::address);
  if (lifetime == 0) return forget_routers([&](const known_router& r) { return r.address == router; });
  if (found == end && router_count_ == most_routers) return;
  if (found == end) ++router_count_;
  *found = {.address = router, .until = now + lifetime};
}

bool router_discovery::is_known(const ip_address& router) const {
  auto* const end = routers_.data() + router_count_;
  return std::ranges::find(routers_.data(), end, router, &known_router::address) != end;
}

void router_discovery::forget_routers(const auto& is_over) {
  auto* const end = routers_.data() + router_count_;
  router_count_ = static_cast<std::size_t>(std::remove_if(routers_.data(), end, is_over) - routers_.data());
}

// RFC 4861 6.3.6: those that answer go before those that don't, and while it does the one in use stays.
void router_discovery::choose_router() {
  const ip_address* best = nullptr;
  bool best_answers = false;
  for (std::size_t i = 0; i < router_count_; ++i) {
    const ip_address& each = routers_[i].address;
    const neighbour* known = with_.neighbours.find(each);
    const bool answers = known == nullptr || known->state != neighbour_state::failed;
    const bool is_better = best == nullptr || answers > best_answers || (answers == best_answers && each == current_);
    if (is_better) best = &each, best_answers = answers;
  }
  current_ = best != nullptr ? *best : ip_address();
  with_.events.set_default_router(best);
}

// RFC 4861 7.2.5
void router_discovery::is_no_router(const ip_address& neighbour, time_point) {
  forget_routers([&](const known_router& r) { return r.address == neighbour; });
  choose_router();
}

// ---- Prefixes and addresses

router_discovery::known_prefix* router_discovery::find(const ip_prefix& prefix) {
  auto* const found = std::ranges::find(prefixes_, prefix, &known_prefix::prefix);
  return found != prefixes_.end() ? found : nullptr;
}

router_discovery::known_prefix* router_discovery::find_tried(const ip_address& address) {
  for (known_prefix& p : prefixes_) {
    if (p.at == stage::trying && p.address == address) return &p;
  }
  return nullptr;
}

bool router_discovery::has_formed(const ip_address& address) const {
  return std::ranges::any_of(prefixes_,
                             [&](const known_prefix& p) { return p.at == stage::ours && p.address == address; });
}

router_discovery::known_prefix* router_discovery::find_free() {
  auto* const found = std::ranges::find_if(prefixes_, &known_prefix::is_free);
  return found != prefixes_.end() ? found : nullptr;
}

void router_discovery::learn_prefix(const nd_prefix_option& told, time_point now) {
  if (!is_possible(told.prefix, told.prefix_length)) return;
  ip_prefix prefix{told.prefix, told.prefix_length};
  prefix.address = prefix.network();
  known_prefix* p = find(prefix);
  if (p == nullptr) p = find_free();
  if (p == nullptr) return;
  p->prefix = prefix;
  if (told.on_link != 0) p->on_link = true, p->on_link_until = after(told.valid_lifetime, now);
  if (forms_addresses(told)) learn_lifetimes(*p, told, now);
  settle(*p, now);
}

// RFC 4862 5.5.3 (d) and (e): so that nobody can take an address away by one message, it stays valid for two hours.
void router_discovery::learn_lifetimes(known_prefix& p, const nd_prefix_option& told, time_point now) {
  const time_point until = after(told.valid_lifetime, now);
  const bool is_new = p.at == stage::none;
  if (is_new && told.valid_lifetime == 0) return;
  if (is_new || until > now + two_hours || until > p.valid_until) {
    p.valid_until = until;
  } else {
    p.valid_until = std::min(p.valid_until, now + two_hours);
  }
  p.preferred_until = after(told.preferred_lifetime, now);
  if (is_new) try_next_address(p, now);
}

// RFC 7217 6
void router_discovery::try_next_address(known_prefix& p, time_point now) {
  p.at = stage::given_up;
  p.deprecated = false;
  while (p.at == stage::given_up && p.tries < most_tries) {
    p.address = stable_address(p.prefix.address, ids_, p.tries++);
    p.at = stage::trying;
    if (!with_.events.try_address(p.address, now)) p.at = stage::given_up;
  }
}

void router_discovery::is_unique(const ip_address& address, time_point now) {
  if (known_prefix* p = find_tried(address)) {
    p->at = with_.events.add_address(address) ? stage::ours : stage::given_up;
    settle(*p, now);
  }
  // RFC 4861 6.3.7: the random delay has passed, before the address was looked for.
  if (waits_ && address.is_link_local()) {
    waits_ = false;
    next_solicitation_ = now;
  }
  find_deadline();
}

void router_discovery::is_taken(const ip_address& address, time_point now) {
  known_prefix* p = find_tried(address);
  if (p == nullptr) return;
  with_.events.drop_address(address, now);
  try_next_address(*p, now);
}

// Does what is due of a prefix.
void router_discovery::settle(known_prefix& p, time_point now) {
  if (p.on_link) {
    p.on_link = p.on_link_until > now;
    with_.events.set_on_link(p.prefix, p.on_link);
  }
  if (p.at == stage::none) return;
  if (p.valid_until <= now) {
    if (p.at != stage::given_up) with_.events.drop_address(p.address, now);
    p.at = stage::none;
    p.tries = 0;
  } else if (p.at == stage::ours && p.deprecated != (p.preferred_until <= now)) {
    p.deprecated = !p.deprecated;
    with_.events.set_deprecated(p.address, p.deprecated);
  }
}

// ---- Time

void router_discovery::solicit(time_point now) {
  with_.events.solicit_routers();
  ++solicitations_;
  next_solicitation_ = solicitations_ < most_solicitations ? now + solicitation_interval : never;
}

void router_discovery::advance(time_point now) {
  if (!is_on_) return;
  if (now >= deadline_) {
    if (now >= next_solicitation_) solicit(now);
    forget_routers([&](const known_router& r) { return r.until <= now; });
    for (known_prefix& p : prefixes_) settle(p, now);
    find_deadline();
  }
  choose_router();
}

void router_discovery::find_deadline() {
  deadline_ = next_solicitation_;
  for (std::size_t i = 0; i < router_count_; ++i) deadline_ = std::min(deadline_, routers_[i].until);
  for (const known_prefix& p : prefixes_) {
    if (p.on_link) deadline_ = std::min(deadline_, p.on_link_until);
    if (p.at != stage::none) deadline_ = std::min(deadline_, p.valid_until);
    if (p.at == stage::ours && !p.deprecated) deadline_ = std::min(deadline_, p.preferred_until);
  }
}

}  // namespace fastudp
