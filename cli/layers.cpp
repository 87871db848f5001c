#include "layers.h"

#include <algorithm>

#include <fastudp.h>

namespace cli {

std::vector<std::pair<std::string, std::uint64_t>> drops_by_layer(
    const std::function<std::uint64_t(const char* reason)>& count) {
  std::vector<std::pair<std::string, std::uint64_t>> sums{{"link", 0}, {"memory", 0}, {"stack", 0}, {"socket", 0}};
  for (std::size_t i = 0; fastudp_drop_name(i) != nullptr; ++i) {
    const std::string layer = fastudp_drop_layer(i);
    auto sum = std::ranges::find(sums, layer, &std::pair<std::string, std::uint64_t>::first);
    if (sum == sums.end()) sum = sums.insert(sums.end(), {layer, 0});  // of a library that is newer than we are
    sum->second += count(fastudp_drop_name(i));
  }
  return sums;
}

}  // namespace cli
