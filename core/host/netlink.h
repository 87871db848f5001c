#pragma once
// Messages of rtnetlink and its kin: asking for a dump, walking through what comes. Everything is checked against its
// length, as if it came from a stranger.

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/descriptor.h"
#include "base/result.h"

namespace fastudp::netlink {

// One message: its type and what stands behind the header.
struct message {
  std::uint16_t type = 0, flags = 0;
  std::uint32_t sequence = 0;
  std::span<const std::byte> body;

  // The fixed part of the body, zero where it is too short; and the attributes behind it.
  template <typename T>
  T fixed() const {
    T out{};
    if (body.size() >= sizeof out) std::memcpy(&out, body.data(), sizeof out);
    return out;
  }
  template <typename T>
  std::span<const std::byte> attributes() const {
    const std::size_t size = NLMSG_ALIGN(sizeof(T));
    return body.size() > size ? body.subspan(size) : std::span<const std::byte>{};
  }
};

// Takes the first message off; false: nothing whole is left.
bool next(std::span<const std::byte>& rest, message& out);

// The value of an attribute, empty when it isn't there. Flags in its type are passed over.
std::span<const std::byte> attribute(std::span<const std::byte> attributes, std::uint16_t type);
// The same as a number or a struct; `fallback` when it isn't there or is too short.
template <typename T>
T value_of(std::span<const std::byte> attributes, std::uint16_t type, T fallback = {}) {
  const auto found = attribute(attributes, type);
  if (found.size() >= sizeof(T)) std::memcpy(&fallback, found.data(), sizeof(T));
  return fallback;
}

// A socket of a netlink family that hears the groups in `groups` (bit n - 1 is group n). Never blocks when it is read.
result<descriptor> open(int family, std::uint32_t groups);
// Asks for a dump; `body` stands behind the header.
status request(int socket, std::uint16_t type, std::uint16_t flags, std::uint32_t sequence,
               std::span<const std::byte> body);

}  // namespace fastudp::netlink
