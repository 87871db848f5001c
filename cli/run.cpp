#include "run.h"

#include <limits.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "counters_file.h"
#include "preloadable.h"
#include "program.h"
#include "rules_file.h"
#include "stats_target.h"
#include "trial.h"

namespace cli {
namespace {

constexpr int mistake = 2, refused = 1;
constexpr std::size_t longest_uri = 511;  // that the interposer takes
constexpr char otherwise[] = "; going on with the kernel's sockets";

int say(const std::string& text, int status) {
  std::fprintf(stderr, "fastudp: %s\n", text.c_str());
  return status;
}

// In the build tree, or in an installed one.
std::string find_interposer() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string whole(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  const std::string bin = whole.substr(0, whole.rfind('/'));
  const std::string prefix = bin.substr(0, bin.rfind('/'));
  for (const char* place : {"/bindings/preload/", "/" FASTUDP_LIBRARIES "/"}) {
    const std::string candidate = prefix + place + "libfastudp-preload.so";
    if (::access(candidate.c_str(), R_OK) == 0) return candidate;
  }
  return "";
}

// Empty when nothing is.
std::string what_is_wrong_with(const std::string& interposer) {
  if (interposer.empty()) return "libfastudp-preload.so isn't beside this program: install both from one build";
  if (interposer.find_first_of(" :") == interposer.npos) return "";
  return interposer + " can't be preloaded from a path with a space or a colon: install it elsewhere";
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

// The URI for the program: the one that was asked for, or the kernel's sockets where that can't be had. Empty: neither,
// and `status` is what to exit with.
std::string settle(const std::string& uri, const run_request& request, const trial& found, int& status) {
  if (found.code == 0) {
    if (found.link == "host:" && !found.reason.empty()) say(found.reason + otherwise, 0);
    return uri;
  }
  const bool is_mistake = found.code == EINVAL || found.code == ENODEV;
  status = is_mistake ? mistake : refused;
  say(found.reason + (is_mistake || request.strict ? "" : otherwise), 0);
  return is_mistake || request.strict ? "" : "host:";
}

// The program may change its folder before it opens its first socket.
std::string absolute(const std::string& path) {
  char whole[PATH_MAX];
  return ::realpath(path.c_str(), whole) != nullptr ? whole : path;
}

void set(const char* name, const std::string& value) {
  if (value.empty()) {
    ::unsetenv(name);
  } else {
    ::setenv(name, value.c_str(), 1);
  }
}

void prepare_environment(const std::string& uri, const run_request& request, const std::string& interposer,
                         const std::string& counters) {
  const char* before = std::getenv("LD_PRELOAD");
  set("LD_PRELOAD", before != nullptr && *before != '\0' ? interposer + ":" + before : interposer);
  set("FASTUDP_LINK", uri);
  set("FASTUDP_STATS", counters);
  set("FASTUDP_RULES", request.rules.empty() ? "" : absolute(request.rules));
  set("FASTUDP_STRICT", request.strict ? "1" : "");
  set("FASTUDP_BYPASS_FIREWALL", request.bypass_firewall ? "1" : "");
  set("FASTUDP_EXTEND_SANDBOX", request.extend_sandbox ? "1" : "");
}

int start(const run_request& request, const std::string& interposer, const std::string& uri, const trial& found) {
  const counters_file counters;
  if (counters.path().empty() && !request.stats.empty()) {
    return say("neither /dev/shm nor /tmp takes a file to count in, which --stats needs", refused);
  }
  prepare_environment(uri, request, interposer, counters.path());
  const int status = run_and_wait(request.command);
  if (request.stats.empty()) return status;
  const int problem = replace_file(request.stats, counters.sum(found));
  return problem == 0 ? status : say(request.stats + " can't be written: " + std::strerror(problem), status);
}

}  // namespace

int run(const run_request& request) {
  const std::string interposer = find_interposer(), uri = uri_of(request);
  if (const std::string wrong = what_is_wrong_with(interposer); !wrong.empty()) return say(wrong, refused);
  if (uri.size() > longest_uri) return say("the link URI is longer than 511 characters", mistake);
  if (const std::string wrong = request.stats.empty() ? "" : why_not_writable(request.stats); !wrong.empty()) {
    return say(wrong, mistake);
  }
  if (const std::string wrong = request.rules.empty() ? "" : what_is_wrong_with_rules(request.rules); !wrong.empty()) {
    return say(wrong, mistake);
  }
  trial found = try_link({uri, request.strict, request.bypass_firewall});
  int status = 0;
  const std::string settled = settle(uri, request, found, status);
  if (settled.empty()) return status;
  if (found.code != 0) found.link = settled;
  if (const std::string obstacle = why_not_preloadable(request.command[0]); !obstacle.empty()) {
    say(obstacle + (request.strict ? "" : otherwise), 0);
    if (request.strict) return refused;
    found = {0, "host:", obstacle};
  }
  return start(request, interposer, settled, found);
}

}  // namespace cli
