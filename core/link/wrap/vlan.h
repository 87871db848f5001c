#pragma once
// VLANs for a stack with an address of its own: the stack sees frames without tags, the inner link those of the wire.
// So ARP, NDP, ICMP and fragments are tagged as datagrams are.

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>

#include "base/counters.h"
#include "base/reason.h"
#include "base/result.h"
#include "link/uri.h"
#include "link/wrap/link_around.h"

namespace fastudp::wrap {

// Every mode is a set of VLANs, one of which may go without a tag: tagged has one VLAN and none that is native, access
// has one that is, trunk has what it is given.
struct vlan_membership {
  std::bitset<4096> members;   // by VID
  std::uint16_t first = 0;     // where frames go that could go to any; 0: there are no VLANs
  std::uint16_t native = 0;    // untagged on the wire; 0: none is
  std::uint16_t customer = 0;  // the inner of two tags (802.1ad), `first` being the outer; 0: one tag alone

  bool has_several() const { return members.count() > 1; }
  // How many bytes the tags of a VLAN take.
  std::uint32_t tag_size(std::uint16_t vid) const {
    return vid == native ? 0 : customer != 0 ? 2 * vlan_tag_length : vlan_tag_length;
  }
};

// Keys: vlan=VID[,VID...] or vlan=OUTER.INNER, vlan_mode=tagged|access|trunk, vlan_native=VID.
result<vlan_membership> take_vlans(uri& where, reason& why);

// Who has talked in which VLAN last, as a switch knows it, and as easily misled by a forged source. Of two hosts that
// share a place the later one is known; of the other nothing is.
class vlan_memory {
 public:
  void heard(const mac_address& host, std::uint16_t vid) {
    if (host.is_group()) return;  // nobody's address: or a forged frame would lead broadcasts elsewhere
    places_[place_of(host)] = host.number() | std::uint64_t{vid} << mac_bits;
  }
  std::optional<std::uint16_t> vid_of(const mac_address& host) const {
    const std::uint64_t known = places_[place_of(host)];
    if ((known & ((std::uint64_t{1} << mac_bits) - 1)) != host.number() || known == 0) return std::nullopt;
    return static_cast<std::uint16_t>(known >> mac_bits);
  }

 private:
  static constexpr unsigned mac_bits = 48, place_bits = 10;
  static std::size_t place_of(const mac_address& host) {
    return static_cast<std::size_t>(host.number() * 0x9e3779b97f4a7c15 >> (64 - place_bits));  // Fibonacci hashing
  }

  std::array<std::uint64_t, std::size_t{1} << place_bits> places_{};  // VID and MAC
};

class vlan_link final : public link_around {
 public:
  vlan_link(link_ptr inner, const vlan_membership& in, counters& count)
      : link_around(std::move(inner)), in_(in), several_(in.has_several()), count_(count) {}

  std::size_t rx_burst(burst& out) override;
  std::size_t tx_burst(const burst& in) override;
  bool sums_udp() const override { return inner().sums_udp(); }

 private:
  bool enter(packet& p);
  std::uint16_t vid_towards(packet& p) const;
  void tag(packet& p) const;
  void untag(packet& p) const;

  const vlan_membership in_;
  const bool several_;
  counters& count_;
  vlan_memory memory_;
};

}  // namespace fastudp::wrap
