#pragma once
// The addresses that are ours, each with the prefix that is on-link with it.

#include <array>
#include <cstddef>
#include <span>

#include "base/address.h"
#include "base/result.h"

namespace fastudp {

class local_addresses {
 public:
  static constexpr std::size_t capacity = 64;

  // EEXIST: have it; EINVAL: not an address that a host may have; ENOSPC.
  status add(const ipv4_prefix& address);
  // EADDRNOTAVAIL: not ours. Returns it with its prefix.
  result<ipv4_prefix> remove(ipv4_address address);

  void clear() { count_ = 0; }

  bool contains(ipv4_address address) const;
  bool is_subnet_broadcast(ipv4_address address) const;
  bool is_on_link(ipv4_address address) const;
  // The address to send from: the one that shares the longest prefix with the next hop, else the first; any if there is
  // none.
  ipv4_address source_for(ipv4_address next_hop) const;
  std::span<const ipv4_prefix> all() const { return {addresses_.data(), count_}; }

 private:
  std::array<ipv4_prefix, capacity> addresses_;
  std::size_t count_ = 0;
};

}  // namespace fastudp
