#include "run.h"

#include <limits.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fastudp.h>

#include "counters_file.h"
#include "program.h"

namespace cli {
namespace {

constexpr int usage_error = 2, refused = 1;

std::string folder_of_this_program() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string whole(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  return whole.substr(0, whole.rfind('/'));
}

// In the build tree, or in an installed one.
std::string find_interposer() {
  const std::string here = folder_of_this_program();
  for (const char* place : {"/../bindings/preload/", "/../lib/"}) {
    const std::string candidate = here + place + "libfastudp-preload.so";
    if (::access(candidate.c_str(), R_OK) == 0) return candidate;
  }
  return "";
}

std::string uri_of(const run_request& request) {
  std::string out = request.link;
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) out += (out.find('?') == out.npos ? "?" : "&") + std::string(key) + "=" + value;
  };
  add("address", request.address);
  add("gateway", request.gateway);
  return out;
}

// Opens the link once, to learn what is wrong before the program starts. 0, or what to exit with; a link that can't be had
// here becomes the kernel's sockets.
int try_link(std::string& uri, const run_request& request) {
  fastudp_stack_config config{};
  config.size = sizeof config;
  config.strict = request.strict;
  config.may_bypass_firewall = request.bypass_firewall;
  fastudp_stack* stack = nullptr;
  char why[256] = "";
  const int opened = fastudp_stack_open(&stack, uri.c_str(), &config, why, sizeof why);
  if (opened == 0) {
    fastudp_stack_close(stack);
    return 0;
  }
  const bool is_mistake = opened == -EINVAL || opened == -ENODEV;
  std::fprintf(stderr, "fastudp: %s%s\n", why, is_mistake || request.strict ? "" : "; going on with the kernel's sockets");
  if (is_mistake) return usage_error;
  if (request.strict) return refused;
  uri = "host:";
  return 0;
}

void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

void prepare_environment(const std::string& uri, const run_request& request, const std::string& interposer,
                         const std::string& counters) {
  const char* before = std::getenv("LD_PRELOAD");
  set("LD_PRELOAD", before != nullptr && *before != '\0' ? interposer + ":" + before : interposer);
  set("FASTUDP_LINK", uri);
  set("FASTUDP_STATS", counters);
  if (request.strict) set("FASTUDP_STRICT", "1");
  if (request.bypass_firewall) set("FASTUDP_BYPASS_FIREWALL", "1");
}

}  // namespace

int run(const run_request& request) {
  const std::string interposer = find_interposer();
  if (interposer.empty()) {
    std::fprintf(stderr, "fastudp: libfastudp-preload.so isn't beside this program: install both from one build\n");
    return refused;
  }
  const std::string obstacle = why_not_preloadable(request.command[0]);
  if (!obstacle.empty()) std::fprintf(stderr, "fastudp: %s\n", obstacle.c_str());
  if (!obstacle.empty() && request.strict) return refused;
  std::string uri = uri_of(request);
  if (const int problem = try_link(uri, request); problem != 0) return problem;
  const counters_file counters;
  prepare_environment(uri, request, interposer, counters.path());
  const int status = run_and_wait(request.command);
  if (request.stats.empty()) return status;
  if (const int problem = replace_file(request.stats, counters.sum())) {
    std::fprintf(stderr, "fastudp: %s can't be written: %s\n", request.stats.c_str(), std::strerror(problem));
  }
  return status;
}

}  // namespace cli
