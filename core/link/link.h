#pragma once
// The contract of a link: one queue of one device, as the stack sees it.
//
// - One thread at a time uses a link; no call blocks, throws or allocates.
// - Calls are virtual per burst, never per packet.
// - rx_burst appends to the caller's burst packets that the burst then owns; each goes home to its pool when released.
//   Frames arrive whole, beginning with the Ethernet header; nothing is appended when nothing has come.
// - tx_burst takes a prefix of the burst and says how long it was; the caller then forgets that many, the rest stays
//   its own. Order is kept. A packet that was taken is the link's, whatever becomes of it; the link releases it.
//   Packets may come from any pool of this stack, and carry their transport checksum in full; where that is our own, a
//   link may leave it to others to make it anew. Of a link that sums_udp, datagrams may come with the pseudo header's
//   sum alone (checksum_state::partial): whole ones, right behind an IP header without options or extensions. What
//   isn't a frame for this link (see carries) is taken, dropped and counted as link_error.
// - tx_flush makes sure that whatever was taken leaves: it rings the doorbell, where there is one.
// - wait_fd, once arm() was called, becomes readable no later than the moment when rx_burst would find packets. When
//   arm() returns false, packets are there already: don't sleep. A descriptor that became readable may stay so until
//   the next arm(); rx_burst doesn't take it back, so that nobody who sleeps on it misses what woke him.
// - admit_group asks the device for frames to a group's address, or no longer; as often as it was asked to, it has to
// be
//   told that it needn't. More may come in: a device that filters nothing ignores it.
// - Losses on the link itself (receive ring full, device errors) are counted in the counters given at open, some only
//   when count_losses asks for them; what the kernel counts for the interface is its user's to ask for (lost).

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/address.h"
#include "base/counters.h"
#include "base/reason.h"
#include "base/result.h"
#include "base/time.h"
#include "packet/burst.h"
#include "packet/pool.h"

namespace fastudp {

inline constexpr std::uint32_t ethernet_header_length = 14;
inline constexpr std::uint32_t vlan_tag_length = 4;
inline constexpr std::uint32_t longest_link_header = ethernet_header_length + 2 * vlan_tag_length;

// Bytes before a frame's payload: Ethernet's header and up to two tags, as far as the frame has them.
std::size_t link_header_length(std::span<const std::byte> frame);

// Which of the kernel's counts of an interface tells of frames that were lost before they were a link's: those that the
// network card had no room for, or, of a TAP interface, those that the kernel couldn't send.
enum class lost_frames : std::uint8_t { uncounted, missed, unsent };

struct link_info {
  const char* name = "";  // scheme and device, for messages; lives as long as the link
  mac_address mac;
  std::uint32_t mtu = 1500;  // largest IP datagram in one frame
  std::uint32_t queues = 1;
  const char* way = "";  // how frames are come by, for people, where there are several ways; lives as long as the link
  int interface = 0;     // the host's number of the device; 0: the host has none
  bool shared = false;   // the host's kernel owns the addresses: what nobody has claimed stays the kernel's
  // Of a shared link: claims (link/steering.h) decide what comes in here, and the kernel doesn't get it. Otherwise all
  // UDP comes in, the kernel gets it too, and whoever takes a datagram filters it out of the kernel's sockets.
  bool steered = false;
  // Of a device with memory and threads of this process alone: no child may take it over.
  bool stays_with_process = false;
  lost_frames lost = lost_frames::uncounted;

  // Whether this is a frame: a whole Ethernet header, its tags if any, and no more than the MTU behind them.
  bool carries(std::span<const std::byte> frame) const {
    const bool plain = frame.size() >= ethernet_header_length && frame.size() <= ethernet_header_length + mtu;
    return plain || carries_tagged(frame);
  }

 private:
  bool carries_tagged(std::span<const std::byte> frame) const;
};

// So many processes can work with one link at a time, where any can.
inline constexpr unsigned most_ends = 9;

class link {
 public:
  virtual ~link() = default;

  virtual std::size_t rx_burst(burst& out) = 0;
  virtual std::size_t tx_burst(const burst& in) = 0;
  virtual void tx_flush() = 0;

  virtual int wait_fd() const = 0;
  virtual bool arm() = 0;

  virtual void admit_group(const mac_address&, bool) {}
  // Whether the device, or who is behind it, completes UDP checksums.
  virtual bool sums_udp() const { return false; }

  // Brings the counters up to date with what the device or the kernel has lost. May be a few system calls.
  virtual void count_losses() {}

  virtual const link_info& info() const = 0;
  // Frames to build packets for transmission in; each holds the link's MTU and its headers.
  virtual pool& frames() = 0;

  // ---- Of a link that processes can share by fork, each with an end of its own; this is end 0. Claims
  // (link/steering.h) say which end gets what.

  // Makes the ends 1 to most_ends - 1, which receive nothing yet, for children to come. Needs the rights that opening
  // the link did. EOPNOTSUPP: it is a link for one process.
  virtual status set_ends_aside(reason&) { return error{EOPNOTSUPP}; }
  // In another process, where nobody works with this link any more: a link of its own, which may do the same again.
  // This one is left without its descriptors; its frames stay where they are. EOPNOTSUPP: no ends were set aside.
  virtual result<std::unique_ptr<link>> open_end(unsigned, counters&, reason&) { return error{EOPNOTSUPP}; }
  // The process that has opened the end is gone: it receives nothing until it is opened again.
  virtual void close_end(unsigned) {}

  // False once the device was deleted, or moved to another network namespace: nothing comes any more, and what is sent
  // is dropped and counted as link_error. May be a system call.
  virtual bool has_device() const { return true; }

  // Links that hold frames back on purpose (an impaired one) say when they want to be polled again, and are told the
  // time before each rx_burst and each tx_burst. For all others time does not exist.
  virtual time_point deadline() const { return never; }
  virtual void advance(time_point) {}
};

using link_ptr = std::unique_ptr<link>;

class steering;

// What a backend is given when it is opened; both outlive the link.
struct link_services {
  counters& count;
  steering* claims = nullptr;         // BPF's, where it may be used; see link/steering.h
  reason* why_not_steered = nullptr;  // says why the claims, though they are there, can't be used on this device
};

}  // namespace fastudp
