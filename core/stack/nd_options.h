#pragma once
// The options behind a message of neighbour discovery, one after the other (RFC 4861 4.6).

#include <cstddef>
#include <span>

#include "wire/icmpv6.h"

namespace fastudp {

// Takes the next option off, with its header. Empty: there is none, or what is left is malformed, as by a length of 0.
inline std::span<const std::byte> next_nd_option(std::span<const std::byte>& rest) {
  const auto header = view<nd_option>::parse(rest);
  const std::size_t size = header ? std::size_t{header->get<&nd_option::length>()} * 8 : 0;
  if (size > rest.size()) return {};
  const auto out = rest.first(size);
  rest = rest.subspan(size);
  return out;
}

inline bool are_nd_options(std::span<const std::byte> options) {
  while (!next_nd_option(options).empty()) continue;
  return options.empty();
}

}  // namespace fastudp
