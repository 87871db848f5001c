#include "stack/ipv6_chain.h"

#include "wire/icmpv6.h"

namespace fastudp {
namespace {

constexpr std::uint32_t first_header = fixed_size<ipv6>;
constexpr int most_headers = 8, most_options = 64;

ipv6_chain& problem(ipv6_chain& at, icmpv6_problem_code code, std::uint32_t pointer) {
  at.how = ipv6_chain::end::problem;
  at.code = static_cast<std::uint8_t>(code);
  at.pointer = pointer;
  return at;
}

// RFC 8200 4.2: what to do with an option that isn't known stands in its type's two highest bits.
bool refuses(ipv6_chain& at, std::uint8_t type, std::uint32_t where) {
  constexpr std::uint8_t skip = 0, discard = 1, tell = 2;
  const auto action = static_cast<std::uint8_t>(type >> 6);
  if (action == skip) return false;
  at.how = ipv6_chain::end::option;
  if (action == discard) return true;
  problem(at, icmpv6_problem_code::option, where);
  at.tell_if_group = action == tell;
  return true;
}

// False: the chain ends at one of them.
bool pass_options(ipv6_chain& at, std::span<const std::byte> options, std::uint32_t where) {
  constexpr std::uint8_t pad1 = 0, padn = 1, router_alert = 5;
  for (int count = 0; !options.empty(); ++count) {
    const auto type = static_cast<std::uint8_t>(options[0]);
    std::size_t size = 1;
    if (type != pad1) {
      if (options.size() < 2) return false;
      size = 2 + static_cast<std::size_t>(options[1]);
    }
    if (size > options.size() || count == most_options) return false;
    if (type != pad1 && type != padn && type != router_alert && refuses(at, type, where)) return false;
    options = options.subspan(size);
    where += static_cast<std::uint32_t>(size);
  }
  return true;
}

// False: the chain ends here.
bool pass_extension(ipv6_chain& at, std::span<const std::byte> packet) {
  at.how = ipv6_chain::end::nothing;
  const auto header =
      at.offset <= packet.size() ? view<ipv6_extension>::parse(packet.subspan(at.offset)) : std::nullopt;
  if (!header) return false;
  const std::uint32_t size = (std::uint32_t{header->get<&ipv6_extension::length>()} + 1) * 8;
  if (at.offset + size > packet.size()) return false;
  if (at.protocol == ip_protocol::routing) {
    // No type is known here; with nothing left to visit it is passed over (4.4).
    constexpr std::uint32_t type_at = 2;
    if (header->get<&ipv6_extension::second_byte>() != 0) {
      problem(at, icmpv6_problem_code::header_field, at.offset + type_at);
      return false;
    }
  } else if (!pass_options(at, packet.subspan(at.offset + 2, size - 2), at.offset + 2)) {
    return false;
  }
  at.protocol = header->get<&ipv6_extension::next_header>();
  at.named_at = at.offset;
  at.offset += size;
  return true;
}

}  // namespace

ipv6_chain walk(std::span<const std::byte> packet, ipv6_chain at) {
  for (int count = 0; count < most_headers; ++count) {
    switch (at.protocol) {
      case ip_protocol::hop_by_hop:
        if (at.offset != first_header) return problem(at, icmpv6_problem_code::next_header, at.named_at);
        [[fallthrough]];
      case ip_protocol::routing:
      case ip_protocol::destination_options:
        if (!pass_extension(at, packet)) return at;
        break;
      case ip_protocol::fragment:
        at.how = ipv6_chain::end::fragment;
        return at;
      case ip_protocol::no_next_header:
        at.how = ipv6_chain::end::nothing;
        return at;
      default:
        at.how = ipv6_chain::end::upper;
        return at;
    }
  }
  at.how = ipv6_chain::end::nothing;
  return at;
}

ipv6_chain walk(std::span<const std::byte> packet) {
  constexpr std::uint32_t next_header_at = 6;
  const auto header = view<ipv6>::parse(packet);
  if (!header) return {};
  return walk(packet,
              {.protocol = header->get<&ipv6::next_header>(), .offset = first_header, .named_at = next_header_at});
}

}  // namespace fastudp
