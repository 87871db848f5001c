// The part of the C API that needs no handle.

#include <charconv>
#include <cstdio>
#include <string_view>

#include "abi/guard.h"
#include "base/counters.h"

using namespace fastudp;
using namespace fastudp::abi;

const char* fastudp_version() { return FASTUDP_VERSION; }

const char* fastudp_drop_name(size_t index) { return drop_name(index); }

const char* fastudp_kernel_reason_name(size_t index) { return kernel_reason_name(index); }

const char* fastudp_kernel_reason_text(size_t index) { return kernel_reason_text(index); }

const char* fastudp_drop_text(size_t index) { return drop_text(index); }

namespace {

// "10.0.0.1", "10.0.0.1:53", ":53"
status parse(std::string_view text, fastudp_addr& out) {
  const auto colon = text.find(':');
  endpoint_address parsed;
  if (colon != 0) {
    const auto address = parse_ipv4(text.substr(0, colon));
    if (!address) return error{EINVAL};
    parsed.address = *address;
  }
  if (colon != text.npos) {
    const auto digits = text.substr(colon + 1);
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed.port);
    if (problem != std::errc{} || end != digits.data() + digits.size()) return error{EINVAL};
  }
  out = to_c(parsed);
  return {};
}

int format(const fastudp_addr& addr, char* text, size_t size) {
  if (addr.family != FASTUDP_IPV4) return -EAFNOSUPPORT;
  const auto address = to_text(from_c(addr).address);
  const int length = std::snprintf(text, size, "%s:%u", address.c_str(), addr.port);
  return static_cast<size_t>(length) < size ? length : -ENOSPC;
}

}  // namespace

int fastudp_addr_parse(const char* text, fastudp_addr* addr) {
  return guarded([&] { return to_int(parse(text, *addr)); }, text, addr);
}

int fastudp_addr_format(const fastudp_addr* addr, char* text, size_t size) {
  return guarded([&] { return format(*addr, text, size); }, addr, text);
}
