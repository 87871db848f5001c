#include "stack/local_addresses.h"

#include <algorithm>
#include <cerrno>

namespace fastudp {
namespace {

// RFC 3021: a prefix of 31 or 32 bits has no broadcast address.
bool has_broadcast(const ipv4_prefix& prefix) { return prefix.length < 31; }

// RFC 1122 3.2.1.3
bool is_host_address(const ipv4_prefix& prefix) {
  const ipv4_address address = prefix.address;
  if (address.is_any() || address.is_loopback() || address.is_multicast() || address.is_reserved()) return false;
  return prefix.length > 0 &&
         (!has_broadcast(prefix) || (address != prefix.broadcast() && address != prefix.network()));
}

}  // namespace

status local_addresses::add(const ipv4_prefix& address) {
  if (address.length > 32 || !is_host_address(address)) return error{EINVAL};
  if (contains(address.address)) return error{EEXIST};
  if (count_ == capacity) return error{ENOSPC};
  addresses_[count_++] = address;
  return {};
}

result<ipv4_prefix> local_addresses::remove(ipv4_address address) {
  auto* const end = addresses_.data() + count_;
  auto* const found = std::find_if(addresses_.data(), end, [&](const ipv4_prefix& p) { return p.address == address; });
  if (found == end) return error{EADDRNOTAVAIL};
  const ipv4_prefix removed = *found;
  std::copy(found + 1, end, found);
  --count_;
  return removed;
}

bool local_addresses::contains(ipv4_address address) const {
  return std::ranges::any_of(all(), [&](const ipv4_prefix& p) { return p.address == address; });
}

bool local_addresses::is_subnet_broadcast(ipv4_address address) const {
  return std::ranges::any_of(all(), [&](const ipv4_prefix& p) { return has_broadcast(p) && p.broadcast() == address; });
}

bool local_addresses::is_on_link(ipv4_address address) const {
  return std::ranges::any_of(all(), [&](const ipv4_prefix& p) { return p.contains(address); });
}

ipv4_address local_addresses::source_for(ipv4_address next_hop) const {
  const ipv4_prefix* best = nullptr;
  for (const ipv4_prefix& p : all()) {
    if (p.contains(next_hop) && (best == nullptr || p.length > best->length)) best = &p;
  }
  if (best != nullptr) return best->address;
  return count_ != 0 ? addresses_[0].address : ipv4_address{};
}

}  // namespace fastudp
