#pragma once
// Which datagrams of a shared interface are ours, decided in the kernel: BPF programs that the plugin fastudp-bpf.so
// loads and attaches. What is claimed comes in on the link and is dropped for the kernel; everything else is the
// kernel's alone.
//
// - Claimed are unfragmented unicast UDP datagrams without IP options that arrive on the interface for a claimed flow.
// - The tap's filter and the program at tc ingress look the same claims up. Removing a claim is felt by the tap first:
//   in between a datagram may be lost, but none comes twice.
// - Everything is held by descriptors: when the last process that has them ends, however it ends, nothing is left.
// - Needed privileges are used by load and attach; claiming and counting work after they were dropped.

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/address.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp {

// Datagrams to `local`, from `remote` only unless its port is 0.
struct claim {
  ip_address local, remote;
  std::uint16_t local_port = 0, remote_port = 0;

  friend bool operator==(const claim&, const claim&) = default;
};

class steering {
 public:
  // Finds the plugin beside this library, or at `path`, and loads its programs. ENOENT: not installed; EPERM: BPF may
  // not be used here; ENOSYS, EINVAL: the kernel is too old. `why` says so and what to do.
  static result<std::unique_ptr<steering>> load(reason& why, const char* path = nullptr);
  virtual ~steering() = default;

  // Puts the program at tc ingress (TCX) of the interface. EOPNOTSUPP: no TCX here (Linux 6.6 has it); EPERM; ENODEV.
  virtual status attach(int interface, reason& why) = 0;
  // A program for SO_ATTACH_BPF on a packet socket: lets claimed datagrams through, and ICMP errors that came for this
  // host. The descriptor belongs to the steering.
  virtual int tap_filter() const = 0;

  // EEXIST: claimed already, by whomever shares the claims; ENOSPC: too many.
  virtual status add(const claim& flow) = 0;
  virtual void remove(const claim& flow) = 0;

  // Counts, from now on, the datagrams that the kernel hands to a UDP socket, where they can be read without a system
  // call. The address is good until unwatch, or as long as the steering lives. ENOSPC: too many sockets.
  virtual result<const std::atomic<std::uint64_t>*> watch(int socket) = 0;
  // The socket itself may be closed by then.
  virtual void unwatch(const std::atomic<std::uint64_t>* count) = 0;
};

}  // namespace fastudp
