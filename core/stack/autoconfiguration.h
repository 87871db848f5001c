#pragma once
// Does to the tables of a stack what follows from what routers say (see router_discovery.h).

#include "stack/egress.h"
#include "stack/groups.h"
#include "stack/local_addresses.h"
#include "stack/ndp.h"
#include "stack/router_discovery.h"
#include "stack/routes.h"

namespace fastudp {

class autoconfiguration final : public router_events {
 public:
  // What it works with; all of it outlives it.
  struct parts {
    local_addresses& addresses;
    route_table& routes;
    egress& out;
    ndp_responder& ndp;
    router_discovery& routers;
    group_table& groups;
    bool checks;  // looks for another host that has an address, before using it
  };
  explicit autoconfiguration(const parts& with) : with_(with) {}

  void start(time_point now) { with_.routers.start(with_.checks, now); }

 private:
  void solicit_routers() override;
  bool try_address(const ip_address& address, time_point now) override;
  bool add_address(const ip_address& address) override;
  void set_deprecated(const ip_address& address, bool deprecated) override;
  void drop_address(const ip_address& address, time_point now) override;
  void set_on_link(const ip_prefix& prefix, bool on_link) override;
  void set_default_router(const ip_address* router) override;
  void set_mtu_v6(std::uint32_t mtu) override { with_.out.set_mtu_v6(mtu); }
  void set_hop_limit(std::uint8_t hops) override { with_.out.set_hop_limit(hops); }

  parts with_;
};

}  // namespace fastudp
