#pragma once
// The chain of headers behind an IPv6 header (RFC 8200 4.1), walked within bounds.

#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/ipv6.h"

namespace fastudp {

struct ipv6_chain {
  enum class end : std::uint8_t {
    upper,     // a header that isn't an extension; ip_protocol's numbers are the caller's affair
    fragment,  // a fragment header
    nothing,   // "no next header" (4.7), or a chain that is cut short or too long: to be discarded
    option,    // an option that nobody here knows says that the packet is to be discarded, silently (4.2)
    problem,   // the sender is to be told, with `code` and `pointer`
  };
  end how = end::nothing;
  ip_protocol protocol{};      // of what stands at `offset`
  std::uint32_t offset = 0;    // from the IPv6 header's first byte
  std::uint32_t named_at = 0;  // where the number of the protocol stands
  std::uint8_t code = 0;       // of the parameter problem (RFC 4443 3.4)
  std::uint32_t pointer = 0;   // to the byte that is the problem
  bool tell_if_group = false;  // even if the packet was sent to a group
};

// Walks on from `from`, at which `offset`, `protocol` and `named_at` say what stands where; `packet` begins with the
// IPv6 header. Hop-by-hop options are right only directly behind that.
ipv6_chain walk(std::span<const std::byte> packet, ipv6_chain from);
// The same from the beginning.
ipv6_chain walk(std::span<const std::byte> packet);

// Where to walk on from a fragment header.
inline ipv6_chain behind(const ipv6_chain& fragment, ip_protocol next) {
  constexpr std::uint32_t size = fixed_size<ipv6_fragment>;
  return {.protocol = next, .offset = fragment.offset + size, .named_at = fragment.offset};
}

}  // namespace fastudp
