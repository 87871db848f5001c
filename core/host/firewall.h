#pragma once
// Whether the host filters datagrams.

#include <cstddef>
#include <cstdint>

namespace fastudp {

enum class certainty : std::uint8_t { no, yes, unknown };

// Rules on what comes in or goes out of this host; `text` says where.
certainty host_firewall_has_rules(char* text, std::size_t size);

}  // namespace fastudp
