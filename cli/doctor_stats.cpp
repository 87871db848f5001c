// fastudp doctor --stats: the numbers of a run, with what each means and what can be done about it.

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include <fastudp.h>

#include "doctor.h"
#include "layers.h"

namespace cli {
namespace {

using json = nlohmann::json;

bool is_ours(const json& stats) {
  if (!stats.is_object()) return false;
  for (const char* part : {"sockets", "rx", "tx", "kernel_by", "drops"}) {
    if (!stats.contains(part) || !stats[part].is_object()) return false;
    for (const auto& count : stats[part]) {
      if (!count.is_number_unsigned()) return false;
    }
  }
  return stats.value("link", json()).is_string() && stats.value("reason", json()).is_string();
}

std::uint64_t count_of(const json& counts, const char* name) { return counts.value(name, std::uint64_t{0}); }

void tell_both(const char* what, const json& counts) {
  const std::uint64_t fast = count_of(counts, "fast"), kernel = count_of(counts, "kernel");
  const double share = fast + kernel == 0 ? 0 : 100.0 * static_cast<double>(fast) / static_cast<double>(fast + kernel);
  std::printf("%-9s %12llu fast, %llu through the kernel", what, static_cast<unsigned long long>(fast),
              static_cast<unsigned long long>(kernel));
  std::printf(fast + kernel == 0 ? "\n" : " (%.1f %% fast)\n", share);
}

void tell(std::uint64_t count, const char* name, const char* text) {
  std::printf("%12llu  %s: %s\n", static_cast<unsigned long long>(count), name, text);
}

void tell_kernel_reasons(const json& counts) {
  bool any = false;
  for (std::size_t i = 0; fastudp_kernel_reason_name(i) != nullptr; ++i) {
    const std::uint64_t count = count_of(counts, fastudp_kernel_reason_name(i));
    if (count == 0) continue;
    if (!any) std::printf("\nThrough the kernel:\n");
    any = true;
    tell(count, fastudp_kernel_reason_name(i), fastudp_kernel_reason_text(i));
  }
  if (!any) std::printf("\nThrough the kernel: nothing\n");
}

// From the wire to the program.
void tell_drops(const json& counts) {
  bool any = false;
  for (const auto& [layer, sum] : drops_by_layer([&](const char* name) { return count_of(counts, name); })) {
    if (sum == 0) continue;
    any = true;
    std::printf("\nDropped, %s: %llu\n", layer.c_str(), static_cast<unsigned long long>(sum));
    for (std::size_t i = 0; fastudp_drop_name(i) != nullptr; ++i) {
      const std::uint64_t count = count_of(counts, fastudp_drop_name(i));
      if (count != 0 && layer == fastudp_drop_layer(i)) tell(count, fastudp_drop_name(i), fastudp_drop_text(i));
    }
  }
  if (!any) std::printf("\nDropped: nothing\n");
}

}  // namespace

int explain_stats(const std::string& path) {
  std::ifstream file(path);
  const json stats = json::parse(file, nullptr, false);
  if (!file.is_open() || !is_ours(stats)) {
    std::fprintf(stderr, "fastudp: %s is not a file that 'fastudp run --stats' has written\n", path.c_str());
    return 2;
  }
  std::printf("link      %s\n", stats["link"].get<std::string>().c_str());
  if (stats["reason"] != "") std::printf("          %s\n", stats["reason"].get<std::string>().c_str());
  tell_both("sockets", stats["sockets"]);
  tell_both("received", stats["rx"]);
  tell_both("sent", stats["tx"]);
  tell_kernel_reasons(stats["kernel_by"]);
  tell_drops(stats["drops"]);
  return 0;
}

}  // namespace cli
