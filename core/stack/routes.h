#pragma once
// Where to send what is not on this host: the longest prefix that matches wins.

#include <array>
#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/memory.h"
#include "base/result.h"

namespace fastudp {

struct route {
  std::optional<ip_address> gateway;  // none: the destination is on the link
  ip_address source{};                // to send from; any: no preference
  std::uint32_t mtu = 0;              // of this way; 0: the link's
  bool elsewhere = false;             // not by this link: the host's kernel knows how
  bool learnt = false;                // from a router: gives way to one that was added

  friend bool operator==(const route&, const route&) = default;
};

class route_table {
 public:
  status open(std::uint32_t capacity, std::uint64_t secret);

  // EEXIST: that prefix has a route; EINVAL: bits beyond the prefix, or a gateway that is no host; ENOSPC.
  status add(const ip_prefix& destination, const ip_address* gateway);
  // What a router says. Whether that changed anything: what was added stays, and a full table as it is.
  bool learn(const ip_prefix& destination, const ip_address* gateway);
  bool unlearn(const ip_prefix& destination);
  // Adds or replaces, without a look at what is there. ENOSPC.
  status set(const ip_prefix& destination, const route& way);
  // Forgets all.
  status clear();
  // ESRCH: there is none for exactly that prefix.
  status remove(const ip_prefix& destination);
  std::optional<route> lookup(ip_address destination) const;

 private:
  // One table for all lengths, with open addressing.
  struct slot {
    ip_address network, gateway, source;
    std::uint32_t mtu;
    std::uint8_t length;  // in 128 bits
    bool has_gateway;
    bool elsewhere;
    bool learnt;
    bool taken;
  };

  std::size_t home(ip_address network, std::uint8_t length) const;
  std::size_t after(std::size_t at) const { return (at + 1) & (slots_.size() - 1); }
  std::size_t place_of(ip_address network, std::uint8_t length) const;
  static route read(const slot& found);
  void close_gap(std::size_t gap);

  shared_array<slot> slots_;
  std::array<std::uint32_t, 129> of_length_{};  // how many routes there are of each length, in 128 bits
  std::uint32_t count_ = 0, capacity_ = 0;
  std::uint64_t secret_ = 0;
};

}  // namespace fastudp
