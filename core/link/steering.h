#pragma once
// Which datagrams of a shared interface are ours, decided in the kernel: BPF programs that the plugin fastudp-bpf.so
// loads and attaches. What is claimed comes in on the link and is dropped for the kernel; everything else is the
// kernel's alone.
//
// - Claimed are unfragmented unicast UDP datagrams without IP options that arrive on the interface for a claimed flow.
// - A claim is that of its members, of which each has a tap: every conversation, by its remote end, is one member's,
// and stays so when
//   others come and go, as far as their number allows.
//   Who takes a datagram is decided once, at the taps, and what none of them has taken is the kernel's: so claims may
//   change at any time, and nothing is lost or comes twice.
// - Everything is held by descriptors: when the last process that has them ends, however it ends, nothing is left.
// - Needed privileges are used by load, attach, attach_again, tap_filter and the redirection to AF_XDP; claiming and
// counting work after they were dropped.
// - Processes that fork share all of it. One at a time of them changes claims or watches.

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/address.h"
#include "base/descriptor.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp {

// Datagrams to `local`, from `remote` only unless its port is 0.
struct claim {
  ip_address local, remote;
  std::uint16_t local_port = 0, remote_port = 0;

  friend bool operator==(const claim&, const claim&) = default;
};

// Which frames of an interface go to AF_XDP sockets.
struct redirection {
  int interface = 0;
  mac_address mac;            // that they come to
  std::uint32_t longest = 0;  // of them
  bool takes_all = false;     // and not what is claimed alone
};

class steering {
 public:
  // Finds the plugin beside this library, or at `path`, and loads its programs. ENOENT: not installed; EPERM: BPF may
  // not be used here; ENOSYS, EINVAL: the kernel is too old. `why` says so and what to do.
  static result<std::unique_ptr<steering>> load(reason& why, const char* path = nullptr);
  virtual ~steering() = default;

  // Puts the program at tc ingress (TCX) of the interface. EOPNOTSUPP: no TCX here (Linux 6.6 has it); EPERM; ENODEV.
  virtual status attach(int interface, reason& why) = 0;
  // Whether the program that was attached, here or at XDP, still is: somebody may have taken it off, or the interface
  // be gone. True as long as none was.
  virtual bool is_attached() const = 0;
  // Puts it back. EPERM; EBUSY: another program is at XDP; ENODEV: the interface is gone; EEXIST: another process of
  // those that share this has done it.
  virtual status attach_again() = 0;
  static constexpr unsigned most_members = 15;
  // A program for SO_ATTACH_BPF on a packet socket: lets datagrams through that are the member's (0 to 14) by a claim,
  // and ICMP errors that came for this host. EPERM.
  virtual result<descriptor> tap_filter(unsigned member) const = 0;
  // A member that never has a claim: its tap lets ICMP errors through alone.
  static constexpr unsigned no_member = most_members;

  // ---- For member 0, instead of a tap: a program at XDP, which takes what is its to AF_XDP sockets. The taps of
  // others come after it.

  // Loads it. EBUSY: another program is on the interface.
  virtual status open_redirect(const redirection& how, reason& why) = 0;
  // A socket that is closed is forgotten.
  virtual status redirect_to(unsigned queue, int socket) = 0;
  // From now on. Native: in the driver. EBUSY as before; else what the driver says.
  virtual status attach_redirect(int interface, bool native, reason& why) = 0;

  // EEXIST: the member has a share in it already; ENOSPC: too many.
  virtual status add(const claim& flow, unsigned member) = 0;
  virtual void remove(const claim& flow, unsigned member) = 0;
  // From all claims: what was its share is the others' from now on.
  virtual void remove_member(unsigned member) = 0;

  // Counts, from now on, the datagrams that the kernel hands to a UDP socket, where they can be read without a system
  // call. The address is good until unwatch, or as long as the steering lives. ENOSPC: too many sockets.
  virtual result<const std::atomic<std::uint64_t>*> watch(int socket) = 0;
  // The socket itself may be closed by then. It goes on counting for those who watch it as well.
  virtual void unwatch(const std::atomic<std::uint64_t>* count) = 0;
};

}  // namespace fastudp
