#include "counters_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include <fastudp.h>

#include "layers.h"

namespace cli {
namespace {

using json = nlohmann::ordered_json;
using namer = const char* (*)(std::size_t);

std::vector<std::uint64_t> zeros_for(namer name) {
  std::size_t n = 0;
  while (name(n) != nullptr) ++n;
  return std::vector<std::uint64_t>(n);
}

json named(const std::vector<std::uint64_t>& counts, namer name) {
  json out = json::object();
  for (std::size_t i = 0; i < counts.size(); ++i) out[name(i)] = counts[i];
  return out;
}

json layers(const json& drops) {
  json out = json::object();
  for (const auto& [layer, sum] :
       drops_by_layer([&](const char* reason) { return drops[reason].get<std::uint64_t>(); })) {
    out[layer] = sum;
  }
  return out;
}

json both(std::uint64_t fast, std::uint64_t kernel) { return {{"fast", fast}, {"kernel", kernel}}; }

}  // namespace

counters_file::counters_file() {
  for (const char* folder : {"/dev/shm", "/tmp"}) {
    std::string name = std::string(folder) + "/fastudp-run-XXXXXX";
    const int fd = ::mkstemp(name.data());
    if (fd < 0) continue;
    (void)::fchmod(fd, 0666);  // a program may have changed its user before it opens the file
    ::close(fd);
    path_ = name;
    return;
  }
}

counters_file::~counters_file() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

std::string counters_file::sum(const trial& found) const {
  fastudp_stack_stats stats{};
  stats.size = sizeof stats;
  auto drops = zeros_for(fastudp_drop_name), reasons = zeros_for(fastudp_kernel_reason_name);
  char explanation[1024] = "";
  // It fails when no process has opened a stack: then nothing was counted.
  (void)fastudp_stats_read(path_.c_str(), &stats, drops.data(), drops.size(), reasons.data(), reasons.size(),
                           explanation, sizeof explanation);
  const std::string text = explanation;
  const auto line = text.find('\n');
  const std::string said = line == text.npos ? "" : in_one_line(text.substr(line + 1));
  const json dropped = named(drops, fastudp_drop_name);
  const json out = {{"link", text.empty() ? found.link : text.substr(0, line)},
                    {"reason", said.empty() ? found.reason : said},
                    {"sockets", both(stats.sockets_fast, stats.sockets_kernel)},
                    {"rx", both(stats.rx_fast, stats.rx_kernel)},
                    {"tx", both(stats.tx_fast, stats.tx_kernel)},
                    {"kernel_by", named(reasons, fastudp_kernel_reason_name)},
                    {"drops", dropped},
                    {"drops_by_layer", layers(dropped)}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace cli
