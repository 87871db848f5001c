#include "stack/routes.h"

#include <bit>
#include <cerrno>

#include "base/random.h"

namespace fastudp {
namespace {

bool is_prefix(const ipv4_prefix& p) { return p.length <= 32 && p.network() == p.address; }

bool is_host(ipv4_address a) { return !a.is_any() && !a.is_loopback() && !a.is_multicast() && !a.is_reserved(); }

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

std::size_t route_table::home(ipv4_address network, std::uint8_t length) const {
  return mix(std::uint64_t{network.number()} << 8 | length, secret_) & (slots_.size() - 1);
}

// Where it is, or, if it isn't, the free slot where it would be.
std::size_t route_table::place_of(ipv4_address network, std::uint8_t length) const {
  std::size_t at = home(network, length);
  while (slots_[at].taken && (slots_[at].network != network || slots_[at].length != length)) at = after(at);
  return at;
}

status route_table::add(const ipv4_prefix& destination, const ipv4_address* gateway) {
  if (!is_prefix(destination) || (gateway != nullptr && !is_host(*gateway))) return error{EINVAL};
  if (slots_[place_of(destination.address, destination.length)].taken) return error{EEXIST};
  route way;
  if (gateway != nullptr) way.gateway = *gateway;
  return set(destination, way);
}

status route_table::set(const ipv4_prefix& destination, const route& way) {
  slot& place = slots_[place_of(destination.address, destination.length)];
  if (!place.taken && count_ == capacity_) return error{ENOSPC};
  if (!place.taken) ++count_, ++of_length_[destination.length];
  place = {.network = destination.address,
           .gateway = way.gateway.value_or(ipv4_address{}),
           .source = way.source,
           .mtu = way.mtu,
           .length = destination.length,
           .has_gateway = way.gateway.has_value(),
           .elsewhere = way.elsewhere,
           .taken = true};
  return {};
}

status route_table::clear() {
  if (count_ == 0) return {};
  count_ = 0;
  of_length_ = {};
  return open(capacity_, secret_);
}

status route_table::remove(const ipv4_prefix& destination) {
  if (!is_prefix(destination)) return error{ESRCH};
  const std::size_t at = place_of(destination.address, destination.length);
  if (!slots_[at].taken) return error{ESRCH};
  close_gap(at);
  --of_length_[destination.length];
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

std::optional<route> route_table::lookup(ipv4_address destination) const {
  for (int length = 32; length >= 0; --length) {
    if (of_length_[static_cast<std::size_t>(length)] == 0) continue;
    const ipv4_prefix wanted{destination, static_cast<std::uint8_t>(length)};
    const slot& found = slots_[place_of(wanted.network(), wanted.length)];
    if (!found.taken) continue;
    return route{.gateway = found.has_gateway ? std::optional(found.gateway) : std::nullopt,
                 .source = found.source,
                 .mtu = found.mtu,
                 .elsewhere = found.elsewhere};
  }
  return std::nullopt;
}

}  // namespace fastudp
