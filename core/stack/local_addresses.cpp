#include "stack/local_addresses.h"

#include <algorithm>
#include <bit>
#include <cerrno>

namespace fastudp {
namespace {

// RFC 3021: a prefix of 31 or 32 bits has no broadcast address. IPv6 has none at all.
bool has_broadcast(const ip_prefix& prefix) { return prefix.address.is_v4() && prefix.length < 31; }

// RFC 1122 3.2.1.3
bool is_host_address(const ip_prefix& prefix) {
  const ip_address address = prefix.address;
  if (address.is_any() || address.is_loopback() || address.is_multicast() || address.is_reserved()) return false;
  return prefix.length > 0 &&
         (!has_broadcast(prefix) || (address != prefix.broadcast() && address != prefix.network()));
}

int matching_bits(const ip_address& a, const ip_address& b) {
  const int high = std::countl_zero(a.high() ^ b.high());
  return high < 64 ? high : 64 + std::countl_zero(a.low() ^ b.low());
}

// RFC 6724 2.1, the default policy table, which is Linux's too.
struct policy {
  std::uint64_t prefix;  // the first 64 bits
  int bits, label;
};
constexpr policy policies[] = {{0x2001'0000'0000'0000, 32, 5},  {0x2002'0000'0000'0000, 16, 2},
                               {0x3ffe'0000'0000'0000, 16, 12}, {0xfec0'0000'0000'0000, 10, 11},
                               {0xfc00'0000'0000'0000, 7, 13},  {0, 0, 1}};

int label_of(const ip_address& address) {
  const auto* row = std::ranges::find_if(
      policies, [&](const policy& p) { return p.bits == 0 || (address.high() ^ p.prefix) >> (64 - p.bits) == 0; });
  return row->label;
}

// Linux counts the site-local addresses of old as a scope of their own (RFC 6724 3.1).
int scope_of(const ip_address& address) {
  constexpr int link = 2, site = 5, global = 14;
  if (address.is_multicast()) return std::max(address.bytes[1] & 0xf, link);
  if (address.is_link_local()) return link;
  return address.high() >> 54 == 0xfec0 >> 6 ? site : global;
}

// RFC 6724 5, rule 2: of scopes that reach as far as the destination's the smallest, else the largest.
int scope_fit(int scope, int wanted) { return scope >= wanted ? 32 - scope : scope; }

// The higher, the better: rules 1, 2, 3, 6 and 8. The others are for hosts with more interfaces or privacy addresses.
int rank_of(const ip_prefix& candidate, bool is_deprecated, const ip_address& destination) {
  constexpr int same = 1 << 20, by_scope = 1 << 10, preferred = 1 << 9, right_label = 1 << 8;
  if (candidate.address == destination) return same;
  return scope_fit(scope_of(candidate.address), scope_of(destination)) * by_scope + (is_deprecated ? 0 : preferred) +
         (label_of(candidate.address) == label_of(destination) ? right_label : 0) +
         std::min(matching_bits(candidate.address, destination), static_cast<int>(candidate.length));
}

}  // namespace

status local_addresses::add(const ip_prefix& address) {
  if (address.length > address.longest() || !is_host_address(address)) return error{EINVAL};
  if (contains(address.address)) return error{EEXIST};
  if (count_ == capacity) return error{ENOSPC};
  deprecated_[count_] = false;
  addresses_[count_++] = address;
  return {};
}

result<ip_prefix> local_addresses::remove(ip_address address) {
  auto* const end = addresses_.data() + count_;
  auto* const found = std::find_if(addresses_.data(), end, [&](const ip_prefix& p) { return p.address == address; });
  if (found == end) return error{EADDRNOTAVAIL};
  const ip_prefix removed = *found;
  const auto at = deprecated_.begin() + (found - addresses_.data());
  std::copy(at + 1, deprecated_.end(), at);
  std::copy(found + 1, end, found);
  --count_;
  return removed;
}

status local_addresses::add_tentative(const ip_address& address) {
  if (contains(address) || is_tentative(address)) return error{EEXIST};
  if (tentative_count_ == most_tentative) return error{ENOSPC};
  tentative_[tentative_count_++] = address;
  return {};
}

void local_addresses::remove_tentative(const ip_address& address) {
  auto* const end = tentative_.data() + tentative_count_;
  tentative_count_ = static_cast<std::size_t>(std::remove(tentative_.data(), end, address) - tentative_.data());
}

bool local_addresses::is_tentative(const ip_address& address) const {
  return std::ranges::find(tentative(), address) != tentative().end();
}

void local_addresses::set_deprecated(const ip_address& address, bool deprecated) {
  for (std::size_t i = 0; i < count_; ++i) {
    if (addresses_[i].address == address) deprecated_[i] = deprecated;
  }
}

bool local_addresses::contains(ip_address address) const {
  return std::ranges::any_of(all(), [&](const ip_prefix& p) { return p.address == address; });
}

bool local_addresses::is_subnet_broadcast(ip_address address) const {
  return std::ranges::any_of(all(), [&](const ip_prefix& p) { return has_broadcast(p) && p.broadcast() == address; });
}

bool local_addresses::is_on_link(ip_address address) const {
  return std::ranges::any_of(all(), [&](const ip_prefix& p) { return p.contains(address); });
}

ip_address local_addresses::source_for(const ip_address& destination, const ip_address& next_hop) const {
  return destination.is_v4() ? source_v4(next_hop) : source_v6(destination);
}

ip_address local_addresses::source_v4(const ip_address& next_hop) const {
  const ip_prefix *best = nullptr, *first = nullptr;
  for (const ip_prefix& p : all()) {
    if (!p.address.is_v4()) continue;
    if (first == nullptr) first = &p;
    if (p.contains(next_hop) && (best == nullptr || p.length > best->length)) best = &p;
  }
  if (best == nullptr) best = first;
  return best != nullptr ? best->address : ip_address::any(ip_family::v4);
}

ip_address local_addresses::source_v6(const ip_address& destination) const {
  const ip_prefix* best = nullptr;
  int best_rank = -1;
  for (std::size_t i = 0; i < count_; ++i) {
    const ip_prefix& p = addresses_[i];
    if (p.address.is_v4()) continue;
    const int rank = rank_of(p, deprecated_[i], destination);
    if (rank >= best_rank)  // of equals the latest, as on Linux
      best = &p, best_rank = rank;
  }
  return best != nullptr ? best->address : ip_address();
}

bool local_addresses::has_several_global_v6() const {
  return std::ranges::count_if(all(),
                               [](const ip_prefix& p) { return !p.address.is_v4() && !p.address.is_link_local(); }) > 1;
}

bool local_addresses::is_solicited_node_group(const ip_address& group) const {
  const auto is_its = [&](const ip_address& of) { return !of.is_v4() && solicited_node_group(of) == group; };
  return std::ranges::any_of(all(), is_its, &ip_prefix::address) || std::ranges::any_of(tentative(), is_its);
}

}  // namespace fastudp
