#include "stack/autoconfiguration.h"

#include "stack/own_groups.h"

namespace fastudp {

// RFC 4861 4.1: whoever asks gives its own address with the question, which has to be one that is known to be its own.
void autoconfiguration::solicit_routers() {
  const ip_address near = with_.addresses.source_for(all_routers_group, all_routers_group);
  if (near.is_link_local()) with_.ndp.solicit_routers(near);
}

bool autoconfiguration::try_address(const ip_address& address, time_point now) {
  if (!with_.addresses.add_tentative(address)) return false;
  hold_groups_of(address, with_.groups, with_.checks, now);
  with_.checks ? with_.ndp.claim(address, now) : with_.routers.is_unique(address, now);
  return true;
}

bool autoconfiguration::add_address(const ip_address& address) {
  with_.addresses.remove_tentative(address);
  const bool added(with_.addresses.add({address, 64}));
  if (added) with_.out.invalidate_paths();
  return added;
}

void autoconfiguration::set_deprecated(const ip_address& address, bool deprecated) {
  with_.addresses.set_deprecated(address, deprecated);
  with_.out.invalidate_paths();
}

void autoconfiguration::drop_address(const ip_address& address, time_point now) {
  with_.ndp.forget(address);
  with_.addresses.remove_tentative(address);
  if (with_.addresses.remove(address)) with_.out.invalidate_paths();
  let_go_of_group_of(address, with_.addresses, with_.groups, now);
}

void autoconfiguration::set_on_link(const ip_prefix& prefix, bool on_link) {
  const bool changed = on_link ? with_.routes.learn(prefix, nullptr) : with_.routes.unlearn(prefix);
  if (changed) with_.out.invalidate_paths();
}

void autoconfiguration::set_default_router(const ip_address* router) {
  const ip_prefix everything{};
  const bool changed = router != nullptr ? with_.routes.learn(everything, router) : with_.routes.unlearn(everything);
  if (changed) with_.out.invalidate_paths();
}

}  // namespace fastudp
