#include "trial.h"

#include <net/if.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <fastudp.h>

namespace cli {
namespace {

constexpr char nothing_to_try_with[] = "no process and pipe to try the link with";

bool makes_an_interface(const std::string& uri) {
  if (uri.starts_with("dpdk:net_tap")) return true;
  if (!uri.starts_with("tap:")) return false;
  const std::string name = uri.substr(4, uri.find('?') - 4);
  return name.size() < IF_NAMESIZE && ::if_nametoindex(name.c_str()) == 0;
}

// The driver of DPDK 22.11 aborts a process whose peer goes while both are getting to know each other.
bool ends_its_peer(const std::string& uri) { return uri.starts_with("dpdk:net_memif"); }

void write_all(int fd, const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t n = ::write(fd, text.data() + at, text.size() - at);
    if (n < 0 && errno != EINTR) return;
    if (n > 0) at += static_cast<std::size_t>(n);
  }
}

std::string read_all(int fd) {
  std::string out;
  std::array<char, 2048> some;
  for (;;) {
    const ssize_t n = ::read(fd, some.data(), some.size());
    if (n == 0 || (n < 0 && errno != EINTR)) return out;
    if (n > 0) out.append(some.data(), static_cast<std::size_t>(n));
  }
}

// The code, and on the next lines what the library says.
std::string open_and_close(const trial_request& request) {
  if (makes_an_interface(request.uri)) (void)::unshare(CLONE_NEWNET);  // without the right to, it is made here
  fastudp_stack_config config{};
  config.size = sizeof config;
  config.strict = request.strict;
  config.may_bypass_firewall = request.bypass_firewall;
  fastudp_stack* stack = nullptr;
  char text[1024] = "";
  const int opened = fastudp_stack_open(&stack, request.uri.c_str(), &config, text, sizeof text);
  if (opened == 0) {
    fastudp_stack_explain(stack, text, sizeof text);
    fastudp_stack_close(stack);
  }
  return std::to_string(-opened) + "\n" + text;
}

trial understand(const std::string& answer) {
  const auto end = answer.find('\n');
  if (end == answer.npos) return {EFAULT, "", "the link could not be tried: the library crashed"};
  trial out{std::stoi(answer.substr(0, end)), "", answer.substr(end + 1)};
  if (out.code != 0) return out;
  const auto line = out.reason.find('\n');
  out.link = out.reason.substr(0, line);
  out.reason = line == out.reason.npos ? "" : in_one_line(out.reason.substr(line + 1));
  return out;
}

}  // namespace

trial try_link(const trial_request& request) {
  if (ends_its_peer(request.uri)) return {0, request.uri.substr(0, request.uri.find('?')), ""};
  int ends[2];
  if (::pipe(ends) != 0) return {errno, "", nothing_to_try_with};
  const pid_t child = ::fork();
  if (child == 0) {
    write_all(ends[1], open_and_close(request));
    ::_exit(0);
  }
  const int problem = errno;
  ::close(ends[1]);
  const std::string answer = child > 0 ? read_all(ends[0]) : "";
  ::close(ends[0]);
  if (child < 0) return {problem, "", nothing_to_try_with};
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) continue;
  return understand(answer);
}

std::string in_one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (std::size_t at = 0; (at = text.find('\n', at)) != text.npos; at += 2) text.replace(at, 1, "; ");
  return text;
}

}  // namespace cli
