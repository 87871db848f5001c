#pragma once
// One AF_XDP socket: one queue of a device, with its rings.

#include <linux/if_xdp.h>

#include <cstdint>
#include <span>

#include "base/descriptor.h"
#include "base/reason.h"
#include "base/result.h"
#include "link/xdp/ring.h"
#include "link/xdp/umem.h"
#include "packet/burst.h"

namespace fastudp::xdp {

// Powers of two.
struct ring_sizes {
  std::uint32_t receive = 0;
  std::uint32_t fill = 0;  // more, so that who reads slowly fills the former before it empties this one
  std::uint32_t send = 0;  // 0: this queue doesn't send
};

// What the kernel has counted since the socket was opened.
struct losses {
  std::uint64_t ring_full = 0, no_frame = 0, refused = 0;

  losses& operator+=(const losses& more) {
    ring_full += more.ring_full;
    no_frame += more.no_frame;
    refused += more.refused;
    return *this;
  }
};

class socket {
 public:
  // With its rings, and not bound yet. EPERM: CAP_NET_RAW is missing; EAFNOSUPPORT: this kernel has no AF_XDP.
  static result<socket> open(const ring_sizes& sizes, reason& why);

  int number() const { return file_.number(); }
  // To a queue, with XDP_COPY or XDP_ZEROCOPY. One whose memory isn't registered shares that of the first.
  status bind(int interface, std::uint32_t queue, std::uint16_t how, const socket& first, reason& why);

  // ---- Receiving

  // Gives the kernel frames to receive into, as many as it is to have, and are there.
  void restock(const umem& memory);
  bool is_empty() const { return received_.filled() == 0; }
  void receive(const umem& memory, burst& out);
  // The driver sleeps until it is told that there are frames again.
  void wake_receiver();
  losses lost() const;

  // ---- Sending

  bool has_room_to_send() const { return to_send_.room() > unsent_; }
  // The packet is a chunk of the UMEM; it is the kernel's until it is reclaimed.
  void send(const umem& memory, const packet& frame);
  // Rings the bell, where that is needed. What a full device doesn't take stays on the ring.
  void flush();
  bool has_left_some() const { return has_left_some_; }
  // Releases the packets that have been sent.
  void reclaim(const umem& memory);

 private:
  status map_rings(const ring_sizes& sizes, reason& why);

  descriptor file_;
  ring<xdp_desc> received_, to_send_;
  ring<std::uint64_t> to_fill_, sent_;
  std::uint32_t missing_ = 0;  // frames that the kernel is to have besides, to receive into
  bool has_left_some_ = false;
  std::uint32_t unsent_ = 0;  // frames ahead of what the kernel knows of
};

}  // namespace fastudp::xdp
