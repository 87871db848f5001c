#pragma once
// Whether the host filters datagrams.

#include <cstddef>
#include <cstdint>

namespace fastudp {

enum class certainty : std::uint8_t { no, yes, unknown };

// Rules of nftables or of iptables on what comes in for this host or goes out of it; `text` says where. Unknown without
// the right to look.
certainty host_firewall_has_rules(char* text, std::size_t size);

}  // namespace fastudp
