#pragma once
// What a host learns from the routers on its link (RFC 4861 6.3, RFC 4862 5.5): which of them to send by, which
// prefixes are on the link, and addresses, made with stable identifiers (RFC 7217). Off until it is started: then what
// routers say changes nothing. Whoever is on the link may say it, so all of it is bounded, and what came first stays.

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/counters.h"
#include "base/random.h"
#include "base/time.h"
#include "stack/ip_arrival.h"
#include "stack/ndp.h"
#include "stack/neighbours.h"
#include "stack/stable_id.h"
#include "wire/icmpv6.h"

namespace fastudp {

// What follows from it. The stack does it; saying the same again changes nothing.
class router_events {
 public:
  virtual void solicit_routers() = 0;
  // To look whether another host has an address: is_unique or is_taken follows, maybe at once. False: it can't be had.
  virtual bool try_address(const ip_address& address, time_point now) = 0;
  // From now on it is ours, with a prefix of 64 bits. False: there is no room.
  virtual bool add_address(const ip_address& address) = 0;
  virtual void set_deprecated(const ip_address& address, bool deprecated) = 0;
  // Whether it was ours or only tried.
  virtual void drop_address(const ip_address& address, time_point now) = 0;
  virtual void set_on_link(const ip_prefix& prefix, bool on_link) = 0;
  // Null: there is none.
  virtual void set_default_router(const ip_address* router) = 0;
  virtual void set_mtu_v6(std::uint32_t mtu) = 0;
  virtual void set_hop_limit(std::uint8_t hops) = 0;

 protected:
  ~router_events() = default;
};

class router_discovery final : public ndp_events {
 public:
  static constexpr std::size_t most_routers = 4, most_prefixes = local_addresses::most_tentative;
  // RFC 4861 10, RFC 7217 7.
  static constexpr duration longest_delay = second, solicitation_interval = 4 * second;
  static constexpr std::uint8_t most_solicitations = 3, most_tries = 3;

  // What it works with; all of it outlives it.
  struct parts {
    router_events& events;
    neighbour_table& neighbours;
    random_source& random;
    counters& count;
  };
  router_discovery(const parts& with, const stable_id_source& ids, std::uint32_t link_mtu)
      : with_(with), ids_(ids), link_mtu_(link_mtu) {}

  // Asks for routers; `when_unique`: after our link-local address was found to be.
  void start(bool when_unique, time_point now);
  // A router advertisement whose checksum holds. Takes ownership.
  void receive(const ip_arrival& message, time_point now);

  void is_unique(const ip_address& address, time_point now) override;
  void is_taken(const ip_address& address, time_point now) override;
  void is_no_router(const ip_address& neighbour, time_point now) override;

  // Whether this is one of the addresses that came of it.
  bool has_formed(const ip_address& address) const;

  time_point deadline() const { return deadline_; }
  // After every turn of the neighbour table too, which may have found that a router doesn't answer.
  void advance(time_point now);

 private:
  enum class stage : std::uint8_t { none, trying, ours, given_up };

  struct known_router {
    ip_address address;
    time_point until = 0;
  };
  // Free when it is neither on-link nor has an address at any stage.
  struct known_prefix {
    ip_prefix prefix;
    ip_address address;
    bool on_link = false;
    stage at = stage::none;
    bool deprecated = false;
    std::uint8_t tries = 0;
    time_point on_link_until = 0, valid_until = 0, preferred_until = 0;

    bool is_free() const { return !on_link && at == stage::none; }
  };

  void accept(const ip_address& router, const view<router_advertisement>& told, time_point now);
  void accept_option(const ip_address& router, std::span<const std::byte> option, time_point now);
  void learn_router(const ip_address& router, duration lifetime, time_point now);
  bool is_known(const ip_address& router) const;
  void forget_routers(const auto& is_over);
  void choose_router();
  void learn_prefix(const nd_prefix_option& told, time_point now);
  void learn_lifetimes(known_prefix& p, const nd_prefix_option& told, time_point now);
  void try_next_address(known_prefix& p, time_point now);
  void settle(known_prefix& p, time_point now);
  void solicit(time_point now);
  void find_deadline();
  known_prefix* find(const ip_prefix& prefix);
  known_prefix* find_tried(const ip_address& address);
  known_prefix* find_free();

  parts with_;
  stable_id_source ids_;
  std::uint32_t link_mtu_;
  bool is_on_ = false, waits_ = false;
  std::uint8_t solicitations_ = 0;
  time_point next_solicitation_ = never, deadline_ = never;
  std::array<known_router, most_routers> routers_;
  std::size_t router_count_ = 0;
  ip_address current_;  // the router in use; any: none
  std::array<known_prefix, most_prefixes> prefixes_;
};

}  // namespace fastudp
