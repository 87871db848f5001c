#include "stack/stack.h"

#include <algorithm>
#include <cerrno>
#include <new>

#include "stack/own_groups.h"

namespace fastudp {
namespace {

// RFC 4291 2.5.6 and appendix A: made of the MAC address.
ip_prefix link_local_of(const mac_address& mac) {
  constexpr std::uint8_t universal = 2;
  const auto& m = mac.bytes;
  const auto first = static_cast<std::uint8_t>(m[0] ^ universal);
  return {ipv6_address{{0xfe, 0x80, 0, 0, 0, 0, 0, 0, first, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}}, 64};
}

}  // namespace

result<std::unique_ptr<stack>> stack::create(link& device, counters& count, datagram_sink& sink,
                                             const stack_settings& settings) {
  auto store = frame_store::create();
  if (!store) return store.failure();
  std::unique_ptr<stack> out(new (std::nothrow) stack(device, count, sink, settings, std::move(*store)));
  if (!out) return error{ENOMEM};
  if (auto opened = out->open_tables(settings); !opened) return opened.failure();
  return out;
}

stack::stack(link& device, counters& count, datagram_sink& sink, const stack_settings& settings, frame_store&& store)
    : link_(device),
      count_(count),
      random_(settings.seed),
      store_(std::move(store)),
      announce_(settings.announce && settings.with_host == sharing::none),
      with_host_(settings.with_host),
      neighbours_(egress_, count, random_),
      path_mtu_(random_.next()),
      icmp_limit_(random_.next(), settings.limits_errors_v4, settings.limits_errors_v6),
      igmp_({egress_, addresses_, groups_, device.info().mac, device.info().mtu, count}),
      mld_({egress_, addresses_, groups_, device.info().mac, device.info().mtu, count}),
      groups_(device, igmp_, mld_, random_),
      arp_(egress_, addresses_, neighbours_, device.info().mac, random_, count),
      ndp_(egress_, addresses_, neighbours_, device.info().mac, random_, count, routers_),
      egress_({device, count, store_, addresses_, routes_, neighbours_, arp_, ndp_, path_mtu_, groups_, sink,
               settings.with_host},
              random_),
      auto_({addresses_, routes_, egress_, ndp_, routers_, groups_, announce_}),
      routers_({auto_, neighbours_, random_, count}, {device.info().mac, settings.stable_secret}, device.info().mtu),
      icmp_(egress_, addresses_, path_mtu_, sink, icmp_limit_, device.info().mtu, count, settings.with_host),
      icmpv6_({egress_, addresses_, ndp_, mld_, path_mtu_, sink, icmp_limit_, device.info().mtu, count, routers_,
               settings.with_host == sharing::interface}),
      ingress_({device.info().mac, count, addresses_, groups_, arp_, icmp_, icmpv6_, igmp_, reassembly_, sink,
                settings.with_host}),
      reassembly_(store_.large(), ingress_, count) {}

status stack::open_tables(const stack_settings& settings) {
  // Parked packets may never take so many frames that the link can't receive the answer they wait for.
  const std::uint32_t most_parked = link_.frames().count() / 8;
  if (auto opened = neighbours_.open(settings.neighbours, most_parked); !opened) return opened;
  if (auto opened = groups_.open(settings.groups); !opened) return opened;
  return routes_.open(settings.routes, random_.next());
}

std::size_t stack::poll(time_point now, std::size_t budget) {
  link_.advance(now);
  std::size_t frames = 0;
  while (frames < budget) {
    received_.limit_to(budget - frames);
    const std::size_t came = link_.rx_burst(received_);
    if (came == 0) break;
    frames += came;
    ingress_.receive(received_, now);
  }
  if (now >= deadline()) run_timers(now);
  flush(now);
  return frames;
}

time_point stack::deadline() const {
  return std::min({neighbours_.deadline(), arp_.deadline(), ndp_.deadline(), routers_.deadline(), groups_.deadline(),
                   reassembly_.deadline(), path_mtu_.deadline(), link_.deadline()});
}

void stack::run_timers(time_point now) {
  neighbours_.advance(now);
  arp_.advance(now);
  ndp_.advance(now);
  groups_.advance(now);
  routers_.advance(now);
  reassembly_.advance(now);
  if (now >= path_mtu_.deadline()) {
    path_mtu_.advance(now);
    egress_.invalidate_paths();  // senders remember what is forgotten now
  }
}

void stack::flush(time_point now) {
  link_.advance(now);
  if (!egress_.to_ourselves().empty()) receive_from_ourselves(now);
  egress_.flush();
}

// What these make in turn, an ICMP error to ourselves for one, is delivered too; nothing makes more than it is.
void stack::receive_from_ourselves(time_point now) {
  while (packet* p = egress_.to_ourselves().pop()) {
    ingress_.receive_from_ourselves(p, now);
    if (egress_.to_ourselves().empty()) ingress_.deliver(now);
  }
}

bool stack::frames_are_scarce() {
  const std::uint32_t few = link_.frames().count() / 4;
  if (link_.frames().available() >= few) return false;
  link_.frames().reclaim();
  return link_.frames().available() < few;
}

// RFC 4291 2.8: a host that speaks IPv6 has a link-local address too.
status stack::add_address(const ip_prefix& address, time_point now) {
  const bool speaks_v6 = std::ranges::any_of(addresses_.all(), [](const ip_prefix& p) { return !p.address.is_v4(); });
  if (auto added = add_one(address, now); !added) return added;
  if (address.address.is_v4() || address.address.is_link_local() || speaks_v6) return {};
  return add_link_local(now);
}

status stack::add_link_local(time_point now) {
  const auto near = add_one(link_local_of(link_.info().mac), now);
  return near.code() == EEXIST ? status{} : near;
}

status stack::autoconfigure(time_point now) {
  if (with_host_ != sharing::none) return error{EINVAL};
  if (auto added = add_link_local(now); !added) return added;
  auto_.start(now);
  return {};
}

status stack::add_one(const ip_prefix& address, time_point now) {
  if (auto added = addresses_.add(address); !added) return added;
  const ip_prefix on_link{address.network(), address.length};
  // Two addresses may share a prefix; its route is there already then.
  if (auto added = routes_.add(on_link, nullptr); !added && added.code() != EEXIST) {
    (void)addresses_.remove(address.address);
    return added;
  }
  if (with_host_ == sharing::none) hold_groups_of(address.address, groups_, announce_, now);
  if (announce_) claim(address.address, now);
  egress_.invalidate_paths();
  return {};
}

void stack::claim(const ip_address& address, time_point now) {
  address.is_v4() ? arp_.claim(address.ipv4(), now) : ndp_.claim(address, now);
}

status stack::remove_address(ip_address address, time_point now) {
  const auto removed = addresses_.remove(address);
  if (!removed) return removed.failure();
  const ip_prefix on_link{removed->network(), removed->length};
  // The prefix of a learnt address is on the link as long as routers say so.
  const bool needed =
      routers_.has_formed(address) || std::ranges::any_of(addresses_.all(), [&](const ip_prefix& p) {
        return p.length == on_link.length && p.network() == on_link.address && !routers_.has_formed(p.address);
      });
  if (!needed) (void)routes_.remove(on_link);
  address.is_v4() ? arp_.forget(address.ipv4()) : ndp_.forget(address);
  let_go_of_group_of(address, addresses_, groups_, now);
  egress_.invalidate_paths();
  return {};
}

status stack::add_route(const ip_prefix& destination, const ip_address* gateway) {
  if (gateway != nullptr && !addresses_.is_on_link(*gateway)) return error{ENETUNREACH};
  auto added = routes_.add(destination, gateway);
  if (added) egress_.invalidate_paths();
  return added;
}

status stack::remove_route(const ip_prefix& destination) {
  auto removed = routes_.remove(destination);
  if (removed) egress_.invalidate_paths();
  return removed;
}

status stack::add_neighbour(ip_address address, const mac_address& mac) {
  return neighbours_.set(address, mac, neighbour_state::permanent);
}

status stack::remove_neighbour(ip_address address) { return neighbours_.remove(address); }

const neighbour* stack::find_neighbour(ip_address address) { return neighbours_.find(address); }

void stack::mirror_addresses(std::span<const ip_prefix> all) {
  addresses_.clear();
  for (const ip_prefix& each : all) (void)addresses_.add(each);
  egress_.invalidate_paths();
}

void stack::mirror_neighbour(ip_address address, const mac_address* mac, bool is_sure) {
  // Saying the same again changes nothing, and leaves the paths alone. When the table is full the neighbour stays
  // unknown, and so the kernel's.
  const neighbour* known = neighbours_.find(address);
  const neighbour_state wanted = is_sure ? neighbour_state::permanent : neighbour_state::stale;
  if (mac != nullptr && known != nullptr && known->mac == *mac && known->state == wanted) return;
  if (mac != nullptr) {
    (void)neighbours_.set(address, *mac, wanted);
  } else {
    (void)neighbours_.remove(address);
  }
}

}  // namespace fastudp
