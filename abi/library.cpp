// The part of the C API that needs no handle.

#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "abi/guard.h"
#include "base/counters.h"

using namespace fastudp;
using namespace fastudp::abi;

const char* fastudp_version() { return FASTUDP_VERSION; }

const char* fastudp_drop_name(size_t index) { return drop_name(index); }

const char* fastudp_drop_layer(size_t index) { return drop_layer(index); }

const char* fastudp_kernel_reason_name(size_t index) { return kernel_reason_name(index); }

const char* fastudp_kernel_reason_text(size_t index) { return kernel_reason_text(index); }

const char* fastudp_drop_text(size_t index) { return drop_text(index); }

namespace {

// An interface by name or number.
bool parse_scope(std::string_view text, std::uint32_t& out) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (problem == std::errc{} && end == text.data() + text.size()) return true;
  char name[IF_NAMESIZE] = {};
  if (text.empty() || text.size() >= sizeof name) return false;
  text.copy(name, text.size());
  out = ::if_nametoindex(name);
  return out != 0;
}

bool parse_address(std::string_view text, endpoint_address& out) {
  const auto percent = text.find('%');
  const auto address = parse_ip(text.substr(0, percent));
  if (!address) return false;
  out.address = *address;
  return percent == text.npos || (!address->is_v4() && parse_scope(text.substr(percent + 1), out.scope));
}

// "10.0.0.1", "10.0.0.1:53", ":53", "2001:db8::1", "fe80::1%eth0", "[2001:db8::1]:53"
status parse(std::string_view text, fastudp_addr& out) {
  endpoint_address parsed{.address = ip_address::any(ip_family::v4)};
  std::string_view address = text, port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos || (end + 1 < text.size() && text[end + 1] != ':')) return error{EINVAL};
    address = text.substr(1, end - 1);
    port = text.substr(std::min(end + 1, text.size()));
  } else if (const auto colon = text.find(':'); colon != text.npos && text.find(':', colon + 1) == text.npos) {
    address = text.substr(0, colon);
    port = text.substr(colon);
  }
  if (!(address.empty() && port.size() > 1) && !parse_address(address, parsed)) return error{EINVAL};
  if (!port.empty()) {
    port.remove_prefix(1);
    const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), parsed.port);
    if (problem != std::errc{} || end != port.data() + port.size()) return error{EINVAL};
  }
  out = to_c(parsed, address.find(':') != address.npos ? ip_family::v6 : ip_family::v4);
  return {};
}

int format(const fastudp_addr& addr, char* text, size_t size) {
  if (!is_known_family(addr)) return -EAFNOSUPPORT;
  char scope[16] = "";
  if (addr.scope_id != 0) std::snprintf(scope, sizeof scope, "%%%u", addr.scope_id);
  const auto address = to_text(from_c(addr).address);
  const bool is_v4 = addr.family == FASTUDP_IPV4;
  const char* mapped = !is_v4 && from_c(addr).address.is_v4() ? "::ffff:" : "";
  const int length = is_v4 ? std::snprintf(text, size, "%s:%u", address.c_str(), addr.port)
                           : std::snprintf(text, size, "[%s%s%s]:%u", mapped, address.c_str(), scope, addr.port);
  return static_cast<size_t>(length) < size ? length : -ENOSPC;
}

}  // namespace

int fastudp_addr_parse(const char* text, fastudp_addr* addr) {
  return guarded([&] { return to_int(parse(text, *addr)); }, text, addr);
}

int fastudp_addr_format(const fastudp_addr* addr, char* text, size_t size) {
  return guarded([&] { return format(*addr, text, size); }, addr, text);
}
