#include "doctor.h"

#include <net/if.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include <fastudp.h>

namespace cli {
namespace {

void line(const char* what, const std::string& text) { std::printf("%-12s %s\n", what, text.c_str()); }

// A capability of this process, by its bit in /proc/self/status.
bool has_capability(unsigned bit) {
  std::ifstream status("/proc/self/status");
  for (std::string text; std::getline(status, text);) {
    if (text.rfind("CapEff:", 0) == 0) return (std::stoull(text.substr(7), nullptr, 16) >> bit & 1) != 0;
  }
  return false;
}

std::string capabilities() {
  struct row {
    unsigned bit;
    const char* name;
    const char* use;
  };
  constexpr row rows[] = {{13, "CAP_NET_RAW", "packet:"}, {12, "CAP_NET_ADMIN", "steering at tc, tap:"}, {39, "CAP_BPF", "steering"}};
  std::string out;
  for (const row& each : rows) {
    out += out.empty() ? "" : ", ";
    out += std::string(has_capability(each.bit) ? "has " : "lacks ") + each.name + " (for " + each.use + ")";
  }
  return out;
}

// What opening a link says: how it would work, or why it can't.
std::string try_link(const std::string& uri) {
  fastudp_stack* stack = nullptr;
  char why[256] = "", explanation[1024] = "";
  if (fastudp_stack_open(&stack, uri.c_str(), nullptr, why, sizeof why) < 0) return std::string("no: ") + why;
  fastudp_stack_explain(stack, explanation, sizeof explanation);
  fastudp_stack_close(stack);
  std::string text = explanation, out;
  std::istringstream lines(text);
  for (std::string each; std::getline(lines, each);) {
    if (!each.empty()) out += (out.empty() ? "" : "; ") + each;
  }
  return out;
}

std::vector<std::string> interfaces() {
  std::vector<std::string> out;
  struct if_nameindex* all = ::if_nameindex();
  for (struct if_nameindex* each = all; each != nullptr && each->if_index != 0; ++each) {
    if (std::string(each->if_name) != "lo") out.push_back(each->if_name);
  }
  if (all != nullptr) ::if_freenameindex(all);
  return out;
}

int examine(const std::vector<std::string>& names) {
  struct utsname kernel {};
  ::uname(&kernel);
  line("kernel", std::string(kernel.sysname) + " " + kernel.release + " (steering at tc needs 6.6)");
  line("rights", capabilities());
  line("tap:", ::access("/dev/net/tun", R_OK | W_OK) == 0 ? "/dev/net/tun may be opened"
                                                        : "no: /dev/net/tun may not be opened ('modprobe tun', rights)");
  line("auto:", try_link("auto:"));
  for (const std::string& name : names) line(name.c_str(), try_link("packet:" + name));
  std::printf("\nDatagrams on a fast link are not seen by nftables, conntrack, NAT, qdiscs, ip rules, IPsec policy and tcpdump.\n");
  return 0;
}

void explain(const nlohmann::json& counts, const char* (*name)(std::size_t), const char* (*text)(std::size_t)) {
  for (std::size_t i = 0; name(i) != nullptr; ++i) {
    const std::uint64_t count = counts.value(name(i), std::uint64_t{0});
    if (count != 0) std::printf("%12llu  %s: %s\n", static_cast<unsigned long long>(count), name(i), text(i));
  }
}

int explain_stats(const std::string& path) {
  std::ifstream file(path);
  const auto stats = nlohmann::json::parse(file, nullptr, false);
  if (!stats.is_object() || !stats.contains("kernel_by") || !stats.contains("drops")) {
    std::fprintf(stderr, "fastudp: %s is not a file that 'fastudp run --stats' has written\n", path.c_str());
    return 2;
  }
  line("link", stats.value("link", ""));
  line("", stats.value("reason", ""));
  for (const char* what : {"sockets", "rx", "tx"}) {
    const auto& of = stats[what];
    line(what, std::to_string(of.value("fast", 0ull)) + " fast, " + std::to_string(of.value("kernel", 0ull)) + " through the kernel");
  }
  std::printf("\nThrough the kernel:\n");
  explain(stats["kernel_by"], fastudp_kernel_reason_name, fastudp_kernel_reason_text);
  std::printf("\nDropped:\n");
  explain(stats["drops"], fastudp_drop_name, fastudp_drop_text);
  return 0;
}

}  // namespace

int doctor(const doctor_request& request) {
  if (!request.stats.empty()) return explain_stats(request.stats);
  return examine(request.interface.empty() ? interfaces() : std::vector<std::string>{request.interface});
}

}  // namespace cli
