#include "counters_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include <fastudp.h>

namespace cli {
namespace {

using json = nlohmann::ordered_json;

template <typename Name>
json named(const std::vector<std::uint64_t>& counts, const Name& name) {
  json out = json::object();
  for (std::size_t i = 0; i < counts.size() && name(i) != nullptr; ++i) out[name(i)] = counts[i];
  return out;
}

json both(std::uint64_t fast, std::uint64_t kernel) { return {{"fast", fast}, {"kernel", kernel}}; }

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

counters_file::counters_file() {
  for (const char* folder : {"/dev/shm", "/tmp"}) {
    std::string name = std::string(folder) + "/fastudp-run-XXXXXX";
    const int fd = ::mkstemp(name.data());
    if (fd < 0) continue;
    ::fchmod(fd, 0666);  // a program may have changed its user before it opens the file
    ::close(fd);
    path_ = name;
    return;
  }
}

counters_file::~counters_file() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

std::string counters_file::sum() const {
  constexpr std::size_t most = 256;
  fastudp_stack_stats stats{};
  stats.size = sizeof stats;
  std::vector<std::uint64_t> drops(most), reasons(most);
  char explanation[1024] = "";
  (void)fastudp_stats_read(path_.c_str(), &stats, drops.data(), most, reasons.data(), most, explanation, sizeof explanation);
  const std::string text = explanation;
  const auto line = text.find('\n');
  const json out = {{"link", text.substr(0, line)},
                    {"reason", line == text.npos ? "" : trimmed(text.substr(line + 1))},
                    {"sockets", both(stats.sockets_fast, stats.sockets_kernel)},
                    {"rx", both(stats.rx_fast, stats.rx_kernel)},
                    {"tx", both(stats.tx_fast, stats.tx_kernel)},
                    {"kernel_by", named(reasons, fastudp_kernel_reason_name)},
                    {"drops", named(drops, fastudp_drop_name)}};
  return out.dump() + "\n";
}

int replace_file(const std::string& path, const std::string& text) {
  const std::string draft = path + "." + std::to_string(::getpid());
  const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return errno;
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int problem = written ? 0 : errno;
  ::close(fd);
  if (written && ::rename(draft.c_str(), path.c_str()) == 0) return 0;
  const int code = written ? errno : problem;
  ::unlink(draft.c_str());
  return code;
}

}  // namespace cli
