#pragma once
// Options about multicast groups, whose values are structs: joining and leaving, by any source or by some, in Linux's
// five ways to say it.

#include <cstddef>
#include <span>

#include "base/result.h"
#include "base/time.h"

namespace fastudp {

class udp_socket;

bool is_group_option(int level, int name);
// ENODEV, EADDRNOTAVAIL: it names an interface that isn't this stack's, or no such membership; otherwise as Linux.
status set_group_option(udp_socket& socket, int level, int name, std::span<const std::byte> value, time_point now);
result<std::size_t> get_group_option(udp_socket& socket, int level, int name, std::span<std::byte> value);

}  // namespace fastudp
