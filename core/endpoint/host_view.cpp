#include "endpoint/host_view.h"

#include <algorithm>
#include <cerrno>
#include <new>

namespace fastudp {

result<std::unique_ptr<host_view>> host_view::open(int interface, stack& below, listener& events, reason& why) {
  std::unique_ptr<host_view> out(new (std::nothrow) host_view(interface, below, events));
  if (!out) return why.fail(ENOMEM, "no memory to mirror the host's network in");
  auto opened = mirror::open(interface, *out, why);
  if (!opened) return opened.failure();
  out->mirror_ = std::move(*opened);
  return out;
}

// Those of our interface first: a source is chosen among them. Link-local ones elsewhere are none of ours.
void host_view::addresses_are(std::span<const address> all) {
  std::array<ip_prefix, local_addresses::capacity> ordered;
  std::size_t count = 0, known = 0;
  for (const bool ours : {true, false}) {
    for (const address& each : all) {
      const bool is_ours = each.interface == interface_;
      if (is_ours != ours || (!is_ours && each.prefix.address.is_link_local())) continue;
      if (count < ordered.size()) {
        interfaces_[count] = each.interface;
        ordered[count++] = each.prefix;
      }
      ++known;
    }
  }
  const std::span<const ip_prefix> wanted(ordered.data(), count);
  knows_all_ = count == known;
  if (std::ranges::equal(wanted, below_.addresses().all())) return;
  events_.addresses_will_change();
  below_.mirror_addresses(wanted);
  events_.addresses_changed();
}

int host_view::interface_of(const ip_address& ours) const {
  const auto all = below_.addresses().all();
  const auto found = std::ranges::find(all, ours, &ip_prefix::address);
  return found == all.end() ? loopback_interface : interfaces_[static_cast<std::size_t>(found - all.begin())];
}

void host_view::routes_are(std::span<const host_route> all) {
  const auto kept = below_.mirror_routes(all.size(), [&](std::size_t i) {
    const host_route& from = all[i];
    route way{.gateway = {}, .source = from.source, .mtu = from.mtu, .elsewhere = from.interface != interface_};
    if (!from.gateway.is_any()) way.gateway = from.gateway;
    return std::pair(from.destination, way);
  });
  if (!kept) (void)below_.mirror_routes(0, [](std::size_t) { return std::pair(ip_prefix{}, route{}); });
}

void host_view::neighbour_is(ip_address who, const mac_address* where, bool is_sure) {
  below_.mirror_neighbour(who, where, is_sure);
}

void host_view::interface_is(const host_interface& state) {
  if (below_.with_host() == sharing::loopback) return below_.out().set_local_mtu(state.mtu);
  const bool is_usable = state.is_up && state.is_ethernet && state.mac == below_.device().mac;
  if (!state.is_gone) below_.out().set_mtu(state.mtu);
  events_.interface_is(is_usable, state.is_gone);
}

void host_view::starts_over() { below_.forget_neighbours(); }

}  // namespace fastudp
