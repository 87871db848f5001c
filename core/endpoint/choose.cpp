#include "endpoint/choose.h"

#include <net/if.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "host/firewall.h"
#include "host/mirror.h"

namespace fastudp {
namespace {

constexpr std::size_t longest_uri = 511;
using uri_text = std::array<char, longest_uri + 64>;  // with a device, and keys that are added

// The interface of the default route, or else of any route but loopback's.
class default_interface final : public mirror_events {
 public:
  static int find() {
    constexpr int loopback = 1;
    default_interface out;
    reason why;
    (void)mirror::open(loopback, out, why);
    return out.found_;
  }

 private:
  void addresses_are(std::span<const address>) override {}
  void routes_are(std::span<const host_route> all) override {
    for (const host_route& each : all) {
      if (each.interface <= 1 || each.destination.address.is_link_local() || each.destination.address.is_multicast())
        continue;
      if (found_ == 0 || each.destination.length == 0) found_ = each.interface;
    }
  }
  void neighbour_is(ip_address, const mac_address*, bool) override {}
  void interface_is(const host_interface&) override {}
  void starts_over() override {}

  int found_ = 0;
};

// Why no fast link is even tried; empty when one may be.
reason objection(const engine_settings& settings) {
  reason out;
  char rules[96] = {};
  if (settings.may_bypass_firewall || host_firewall_has_rules(rules, sizeof rules) != certainty::yes) return out;
  (void)out.fail(0, "the firewall has rules (%s), which a fast link would bypass: allow it with --bypass-firewall",
                 rules);
  return out;
}

// The device with the user's keys, and what is to be added to them.
result<std::unique_ptr<engine>> open_by(const char* scheme, std::string_view device, std::string_view keys,
                                        const char* more, const engine_settings& settings, reason& why) {
  uri_text candidate;
  std::snprintf(candidate.data(), candidate.size(), "%s:%.*s%.*s%s", scheme, static_cast<int>(device.size()),
                device.data(), static_cast<int>(keys.size()), keys.data(), more);
  return engine::open(candidate.data(), settings, why);
}

// Keys that AF_XDP alone has are no demand that it be had, but they have to make sense.
bool is_of_xdp(std::string_view pair) { return pair.starts_with("mode=") || pair.starts_with("queues="); }
bool has_keys_of_xdp(const uri& where) { return where.has("mode") || where.has("queues"); }

// The user's keys without them.
std::string_view keys_of_packet(std::string_view keys, uri_text& out) {
  std::size_t length = 0;
  while (!keys.empty()) {
    const auto pair = keys.substr(1, keys.find('&', 1) - 1);
    keys.remove_prefix(1 + pair.size());
    if (is_of_xdp(pair)) continue;
    out[length] = length == 0 ? '?' : '&';
    length += 1 + pair.copy(out.data() + length + 1, pair.size());
  }
  return {out.data(), length};
}

// What the user has written wrong is wrong for every link.
bool is_mistake(int code) { return code == EINVAL || code == ENODEV; }

}  // namespace

result<std::unique_ptr<engine>> open_best(std::string_view text, const uri& where, engine_settings settings,
                                          reason& why) {
  if (text.size() > longest_uri) return why.fail(EINVAL, "the link URI is longer than %zu characters", longest_uri);
  char name[IF_NAMESIZE] = {};
  const int interface = where.device().empty() ? default_interface::find() : 0;
  if (interface != 0) ::if_indextoname(static_cast<unsigned>(interface), name);
  const std::string_view device = where.device().empty() ? std::string_view(name) : where.device();
  const auto keys = text.find('?') != text.npos ? text.substr(text.find('?')) : std::string_view();
  reason against = objection(settings), not_by_xdp;
  if (against.empty() && device.empty()) (void)against.fail(0, "no interface has a route");
  if (against.empty()) {
    // AF_XDP where it is faster: the link itself knows which devices those are.
    const char* mode = where.has("mode") ? "" : keys.empty() ? "?mode=nic" : "&mode=nic";
    auto opened = open_by("xdp", device, keys, mode, settings, not_by_xdp);
    if (opened) return opened;
    if (opened.code() == EINVAL && has_keys_of_xdp(where)) return why = not_by_xdp, opened.failure();
    settings.why_not_faster = not_by_xdp.c_str();
    uri_text others;
    opened = open_by("packet", device, keys_of_packet(keys, others), "", settings, against);
    if (opened) return opened;
    if (is_mistake(opened.code())) return why = against, opened.failure();
  }
  // The kernel's sockets aren't in that VLAN.
  if (settings.strict || where.has("vlan")) return why.fail(EOPNOTSUPP, "no fast link: %s", against.c_str());
  settings.why_not_faster = against.c_str();
  return engine::open("host:", settings, why);
}

}  // namespace fastudp
