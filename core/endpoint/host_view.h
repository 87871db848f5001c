#pragma once
// What the host's kernel says of the network, brought to a stack that shares its addresses, and what the endpoint layer
// has to know of it besides.

#include <array>
#include <memory>
#include <span>

#include "base/reason.h"
#include "base/result.h"
#include "host/mirror.h"
#include "stack/stack.h"

namespace fastudp {

// On every Linux the first one of a network namespace.
inline constexpr int loopback_interface = 1;

class host_view final : private mirror_events {
 public:
  class listener {
   public:
    // Before and after.
    virtual void addresses_will_change() = 0;
    virtual void addresses_changed() = 0;
    // Whether frames may go by our interface.
    virtual void interface_is(bool is_usable, bool is_gone) = 0;

   protected:
    ~listener() = default;
  };

  static result<std::unique_ptr<host_view>> open(int interface, stack& below, listener& events, reason& why);

  int wait_fd() const { return mirror_->wait_fd(); }
  void update() { mirror_->update(); }
  // Every address that datagrams of ours may come to is known.
  bool knows_all_addresses() const { return knows_all_; }
  // The number of the interface that an address of the host is on; loopback's for all others.
  int interface_of(const ip_address& ours) const;

 private:
  host_view(int interface, stack& below, listener& events) : interface_(interface), below_(below), events_(events) {}
  void addresses_are(std::span<const address> all) override;
  void routes_are(std::span<const host_route> all) override;
  void neighbour_is(ip_address who, const mac_address* where, bool is_sure) override;
  void interface_is(const host_interface& state) override;
  void starts_over() override;

  int interface_;
  stack& below_;
  listener& events_;
  bool knows_all_ = false;
  std::array<int, local_addresses::capacity> interfaces_{};  // of the stack's addresses, in their order
  std::unique_ptr<mirror> mirror_;
};

}  // namespace fastudp
