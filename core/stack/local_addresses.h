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
  static constexpr std::size_t capacity = 64, most_tentative = 8;

  // EEXIST: have it; EINVAL: not an address that a host may have; ENOSPC.
  status add(const ip_prefix& address);
  // EADDRNOTAVAIL: not ours. Returns it with its prefix.
  result<ip_prefix> remove(ip_address address);

  void clear() { count_ = 0; }

  // Addresses that become ours when no other host turns out to have them (RFC 4862 5.4); until then they serve to find
  // that out, and nothing else. EEXIST, ENOSPC.
  status add_tentative(const ip_address& address);
  void remove_tentative(const ip_address& address);
  bool is_tentative(const ip_address& address) const;
  // RFC 4862 5.5.4: a deprecated address isn't chosen where another one fits.
  void set_deprecated(const ip_address& address, bool deprecated);

  bool contains(ip_address address) const;
  bool is_subnet_broadcast(ip_address address) const;
  bool is_on_link(ip_address address) const;
  // The address to send from; any if there is none. IPv4: the one that shares the longest prefix with the next hop,
  // else the first. IPv6: RFC 6724 5 for a host with one interface, as Linux does it: the destination itself, a scope
  // that fits, not deprecated, the destination's label, the longest matching prefix; of equals the latest.
  ip_address source_for(const ip_address& destination, const ip_address& next_hop) const;
  bool has_several_global_v6() const;
  // RFC 4291 2.7.1: whether this is the group in which an address of ours, or one that may become so, is solicited.
  bool is_solicited_node_group(const ip_address& group) const;
  std::span<const ip_prefix> all() const { return {addresses_.data(), count_}; }

 private:
  std::array<ip_prefix, capacity> addresses_;
  std::array<bool, capacity> deprecated_;
  std::size_t count_ = 0;
  std::array<ip_address, most_tentative> tentative_;
  std::size_t tentative_count_ = 0;

  std::span<const ip_address> tentative() const { return {tentative_.data(), tentative_count_}; }
  ip_address source_v4(const ip_address& next_hop) const;
  ip_address source_v6(const ip_address& destination) const;
};

}  // namespace fastudp
