#pragma once
// Drops summed up by the layer that loses them.

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace cli {

// Of all layers, from the wire to the program; `count` says how many packets a reason has dropped.
std::vector<std::pair<std::string, std::uint64_t>> drops_by_layer(
    const std::function<std::uint64_t(const char* reason)>& count);

}  // namespace cli
