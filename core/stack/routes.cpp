#include "stack/routes.h"

#include <bit>
#include <cerrno>

#include "base/random.h"

namespace fastudp {
namespace {

bool is_prefix(const ip_prefix& p) { return p.length <= p.longest() && p.network() == p.address; }

bool is_host(ip_address a) { return !a.is_any() && !a.is_loopback() && !a.is_multicast() && !a.is_reserved(); }

std::optional<ip_address> as_optional(const ip_address* gateway) {
  return gateway != nullptr ? std::optional(*gateway) : std::nullopt;
}

}  // namespace

status route_table::open(std::uint32_t capacity, std::uint64_t secret) {
  // Half of it stays free, so that a search ends soon.
  auto made = shared_array<slot>::map(std::bit_ceil(std::size_t{capacity} * 2));
  if (!made) return made.failure();
  slots_ = std::move(*made);
  capacity_ = capacity;
  secret_ = secret;
  return {};
}

std::size_t route_table::home(ip_address network, std::uint8_t length) const {
  return mix(network, secret_ + length) & (slots_.size() - 1);
}

// Where it is, or, if it isn't, the free slot where it would be.
std::size_t route_table::place_of(ip_address network, std::uint8_t length) const {
  std::size_t at = home(network, length);
  while (slots_[at].taken && (slots_[at].network != network || slots_[at].length != length)) at = after(at);
  return at;
}

status route_table::add(const ip_prefix& destination, const ip_address* gateway) {
  if (!is_prefix(destination) || (gateway != nullptr && !is_host(*gateway))) return error{EINVAL};
  const slot& place = slots_[place_of(destination.address, destination.mapped_length())];
  if (place.taken && !place.learnt) return error{EEXIST};
  return set(destination, {.gateway = as_optional(gateway)});
}

bool route_table::learn(const ip_prefix& destination, const ip_address* gateway) {
  const slot& place = slots_[place_of(destination.address, destination.mapped_length())];
  const route way{.gateway = as_optional(gateway), .learnt = true};
  if (place.taken && (!place.learnt || read(place) == way)) return false;
  return bool(set(destination, way));
}

bool route_table::unlearn(const ip_prefix& destination) {
  const slot& place = slots_[place_of(destination.address, destination.mapped_length())];
  return place.taken && place.learnt && bool(remove(destination));
}

status route_table::set(const ip_prefix& destination, const route& way) {
  const std::uint8_t length = destination.mapped_length();
  slot& place = slots_[place_of(destination.address, length)];
  if (!place.taken && count_ == capacity_) return error{ENOSPC};
  if (!place.taken) ++count_, ++of_length_[length];
  place = {.network = destination.address,
           .gateway = way.gateway.value_or(ip_address{}),
           .source = way.source,
           .mtu = way.mtu,
           .length = length,
           .has_gateway = way.gateway.has_value(),
           .elsewhere = way.elsewhere,
           .learnt = way.learnt,
           .taken = true};
  return {};
}

status route_table::clear() {
  if (count_ == 0) return {};
  count_ = 0;
  of_length_ = {};
  return open(capacity_, secret_);
}

status route_table::remove(const ip_prefix& destination) {
  if (!is_prefix(destination)) return error{ESRCH};
  const std::size_t at = place_of(destination.address, destination.mapped_length());
  if (!slots_[at].taken) return error{ESRCH};
  close_gap(at);
  --of_length_[destination.mapped_length()];
  --count_;
  return {};
}

// A search ends at the first free slot: what lies behind the gap moves up, unless it would come to lie before its home.
void route_table::close_gap(std::size_t gap) {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = after(gap); slots_[at].taken; at = after(at)) {
    const std::size_t from_home = (at - home(slots_[at].network, slots_[at].length)) & mask;
    if (from_home < ((at - gap) & mask)) continue;
    slots_[gap] = slots_[at];
    gap = at;
  }
  slots_[gap].taken = false;
}

std::optional<route> route_table::lookup(ip_address destination) const {
  const int shortest = destination.is_v4() ? 96 : 0;
  for (int length = 128; length >= shortest; --length) {
    if (of_length_[static_cast<std::size_t>(length)] == 0) continue;
    const ip_prefix wanted{destination, static_cast<std::uint8_t>(length - shortest)};
    const slot& found = slots_[place_of(wanted.network(), wanted.mapped_length())];
    if (found.taken) return read(found);
  }
  return std::nullopt;
}

route route_table::read(const slot& found) {
  return {.gateway = found.has_gateway ? std::optional(found.gateway) : std::nullopt,
          .source = found.source,
          .mtu = found.mtu,
          .elsewhere = found.elsewhere,
          .learnt = found.learnt};
}

}  // namespace fastudp
