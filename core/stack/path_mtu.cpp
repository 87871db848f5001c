#include "stack/path_mtu.h"

#include <algorithm>

#include "base/random.h"

namespace fastudp {

std::size_t path_mtu_cache::set_of(ip_address destination) const { return mix(destination, secret_) % sets; }

path_mtu_cache::learnt path_mtu_cache::lookup(ip_address destination, time_point now) const {
  for (const entry& e : entries_[set_of(destination)]) {
    if (e.destination == destination && now < e.expires) return e.what;
  }
  return {};
}

std::size_t path_mtu_cache::size(time_point now) const {
  std::size_t out = 0;
  for (const entry_set& set : entries_) {
    out += static_cast<std::size_t>(std::ranges::count_if(set, [&](const entry& e) { return now < e.expires; }));
  }
  return out;
}

bool path_mtu_cache::lower(ip_address destination, std::uint32_t mtu, std::uint32_t link_mtu, time_point now) {
  const learnt before = lookup(destination, now);
  const std::uint32_t current = before.mtu != 0 ? before.mtu : link_mtu;
  if (mtu >= current || before.floor) return false;
  entry_set& set = entries_[set_of(destination)];
  auto* place = std::ranges::find(set, destination, &entry::destination);
  if (place == set.end()) place = std::ranges::min_element(set, {}, &entry::expires);
  *place = {destination, {std::max(mtu, std::min(smallest, current)), mtu < smallest}, now + lifetime};
  deadline_ = std::min(deadline_, place->expires);
  return true;
}

void path_mtu_cache::advance(time_point now) {
  if (now < deadline_) return;
  deadline_ = never;
  for (entry_set& set : entries_) {
    for (const entry& e : set) {
      if (now < e.expires) deadline_ = std::min(deadline_, e.expires);
    }
  }
}

}  // namespace fastudp
