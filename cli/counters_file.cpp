#include "counters_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>
#include <vector>

#include <fastudp.h>

#include "layers.h"

namespace cli {
namespace {

constexpr char prefix[] = "fastudp-run-";

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

// A run holds a lock on its file as long as it lives; who was killed has left the file behind.
void remove_abandoned(const std::string& folder) {
  std::error_code ignored;
  for (const auto& each : std::filesystem::directory_iterator(folder, ignored)) {
    if (!each.path().filename().string().starts_with(prefix)) continue;
    const int fd = ::open(each.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) ::unlink(each.path().c_str());
    ::close(fd);
  }
}

// -1, or a locked file, which nobody has taken for an abandoned one before it was.
int make_locked(std::string& name) {
  for (int tries = 0; tries != 10; ++tries) {
    std::string made = name + "XXXXXX";
    const int fd = ::mkostemp(made.data(), O_CLOEXEC);
    if (fd < 0) return -1;
    struct stat about {};
    if (::flock(fd, LOCK_EX) == 0 && ::fstat(fd, &about) == 0 && about.st_nlink != 0) {
      name = made;
      return fd;
    }
    ::close(fd);
  }
  return -1;
}

}  // namespace

counters_file::counters_file() {
  for (const char* folder : {"/dev/shm", "/tmp"}) {
    remove_abandoned(folder);
    std::string name = std::string(folder) + "/" + prefix;
    lock_ = make_locked(name);
    if (lock_ < 0) continue;
    (void)::fchmod(lock_, 0666);  // a program may have changed its user before it opens the file
    path_ = name;
    return;
  }
}

counters_file::~counters_file() {
  if (path_.empty()) return;
  ::unlink(path_.c_str());
  ::close(lock_);
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
