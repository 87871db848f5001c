#pragma once
// Fail-over: whether the link is well, and who carries datagrams while it isn't.
//
// - Who notices. What becomes of the interface (down, no carrier, another MAC address, deleted) the mirror of the
//   host's network hears by netlink (host_view.h). That somebody took our BPF program off nobody tells: the engine
//   asks, by one system call, when it works and hasn't asked for a while; so also when a companion gets what the link
//   should have brought. A program that sleeps while nothing comes misses nothing by it.
// - Until then nothing is lost or comes twice: what XDP doesn't redirect passes; and when tc doesn't see what a tap
//   took, the companion's counting program drops it there, and the taps leave what follows to the kernel
//   (steer.bpf.c). A companion without that program, since it has a filter of the program's own, may get one datagram
//   for each processor that the link brings as well.
// - Who switches. The engine has one state, this one. Egress asks it for each path, and sends by the companions; while
//   a program is off, nothing is claimed. Sockets stay what they are, with both halves, of which the kernel's goes on:
//   so there is nothing to undo when the link is well again.
// - The way back. An interface that is up again is used again, which needs no right. A program that was taken off is
//   put on again, at once and then every second, if the process has the right to; in a sandbox it isn't tried. An
//   interface that was deleted stays lost, whatever is made with its name: our sockets were that interface's.
// - With an address of our own nobody can take over: sends fail with ENETDOWN once the device is gone or its program is
//   off, and nothing comes. While it is only down, it is like a cable that isn't plugged in.

#include "base/counters.h"
#include "base/time.h"

namespace fastudp {

class link_health {
 public:
  // Both return whether that changes anything. An interface that is gone stays so.
  bool note_interface(bool is_usable, bool is_gone) {
    const link_health before = *this;
    is_usable_ = is_usable;
    is_gone_ |= is_gone;
    return trouble() != before.trouble() || is_gone_ != before.is_gone_;
  }
  bool note_programs(bool are_attached) {
    const bool changes = are_attached != has_programs_;
    has_programs_ = are_attached;
    return changes;
  }

  bool is_gone() const { return is_gone_; }
  // The programs that claims are for are where they should be.
  bool has_programs() const { return has_programs_; }
  bool is_lost() const { return is_gone_ || !has_programs_; }
  // Why the kernel carries everything; `count`: the link is well.
  kernel_reason trouble() const {
    if (is_lost()) return kernel_reason::link_lost;
    return is_usable_ ? kernel_reason::count : kernel_reason::link_down;
  }

  // Nobody tells of it, so it is time to ask; the answer is good for a while.
  bool is_due(time_point now) const { return now >= next_look_ && !is_gone_; }
  time_point next_look() const { return is_gone_ ? never : next_look_; }
  void looked(time_point now) { next_look_ = now + (has_programs_ ? looks_apart : tries_apart); }

  static constexpr duration looks_apart = 100 * millisecond, tries_apart = second;

 private:
  bool is_usable_ = true, is_gone_ = false, has_programs_ = true;
  time_point next_look_ = 0;
};

}  // namespace fastudp
