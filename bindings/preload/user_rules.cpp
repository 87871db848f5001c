#include "user_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <cstring>

#include "call.h"
#include "real.h"

namespace preload::user_rules {
namespace {

constinit rules::list list;
constinit bool is_broken = false;

const char* last_part(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

bool load(const char* path) {
  char text[rules::longest_text];
  const int file = real.open(path, O_RDONLY | O_CLOEXEC, 0);
  if (file < 0) return false;
  std::size_t size = 0;
  ssize_t got = 0;
  while (size < sizeof text && (got = real.read(file, text + size, sizeof text - size)) > 0) {
    size += static_cast<std::size_t>(got);
  }
  real.close(file);
  rules::mistake why;
  return got == 0 && list.parse(text, size, why);
}

rules::place place_of(const fastudp_addr& from) {
  rules::place out{};
  out.port = from.port;
  if (from.family == FASTUDP_IPV6) {
    std::memcpy(out.address, from.bytes, sizeof out.address);
  } else {
    out.address[10] = out.address[11] = 0xff;
    std::memcpy(out.address + 12, from.bytes, 4);
  }
  return out;
}

bool says_kernel(rules::way of, const fastudp_addr& where) {
  return !list.is_empty() && list.says_kernel(of, place_of(where));
}

}  // namespace

void read(const char* path) {
  if (*path == '\0') return;
  is_broken = !load(path);
  char executable[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", executable, sizeof executable - 1);
  executable[length > 0 ? length : 0] = '\0';
  list.keep_those_of(last_part(executable), program_invocation_short_name);
}

bool is_kernels(const fastudp_addr& local) {
  return is_broken || list.says_kernel_for_all() || (local.port != 0 && says_kernel(rules::way::in, local));
}

bool before_binding(const call& c, const fastudp_addr& to) {
  if (to.port == 0) return true;
  c->is_bound_by_program = true;
  return !says_kernel(rules::way::in, to) || c.hand_over(cause::rule);
}

bool before_connecting(const call& c, const fastudp_addr& to) {
  if (c->is_bound_by_program || to.family == FASTUDP_UNSPEC) return true;
  return !says_kernel(rules::way::out, to) || c.hand_over(cause::rule);
}

bool goes_by_kernel(const call& c, const fastudp_addr& to) {
  return to.family != FASTUDP_UNSPEC && !c->is_bound_by_program && says_kernel(rules::way::out, to);
}

}  // namespace preload::user_rules
