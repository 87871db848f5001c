#pragma once
// What XDP can't give to a link, since it can't clone: a packet socket beside it hears ICMP errors about what a shared
// interface's address has sent, or on an interface with an address of our own what goes to groups or to all.

#include <memory>
#include <optional>

#include "base/counters.h"
#include "link/intake.h"
#include "link/link.h"
#include "link/packet/own_filter.h"
#include "link/packet/ring_v2.h"
#include "link/packet/socket.h"
#include "link/steering.h"

namespace fastudp::xdp {

class side {
 public:
  // `frames` and `count` outlive it.
  static result<std::unique_ptr<side>> open(const af_packet::interface_facts& device, const link_info& info,
                                            const steering& claims, pool& frames, counters& count, reason& why);

  int number() const { return socket_.number(); }
  std::uint32_t take_losses() { return af_packet::take_losses(number()); }
  void receive(burst& out) { intake_.take_all(ring_, out); }
  // As a link's.
  bool arm();
  void admit_group(const mac_address& group, bool wanted) {
    if (filter_) filter_->admit(group, wanted);
  }

 private:
  side(descriptor&& socket, af_packet::ring_v2&& ring, pool& frames, counters& count, bool keeps_tags)
      : socket_(std::move(socket)), ring_(std::move(ring)), intake_(frames, count, keeps_tags) {}

  descriptor socket_;
  af_packet::ring_v2 ring_;
  intake intake_;
  std::optional<af_packet::own_filter> filter_;
};

}  // namespace fastudp::xdp
