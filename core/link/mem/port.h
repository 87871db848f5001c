#pragma once
// One port of a hub: the ring through which other ports' threads hand it frames, and the bell that wakes its owner.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "base/descriptor.h"
#include "base/memory.h"
#include "base/reason.h"
#include "link/link.h"
#include "link/mem/spin_lock.h"

namespace fastudp::mem {

struct settings {
  mac_address mac;  // zero: the hub picks one
  std::uint32_t mtu = 1500;
  std::uint32_t ring = 4096;  // a power of two
  bool promiscuous = false;
};

// The ring works as a network card's does: its slots hold packets. The owner posts empty ones, senders fill them in
// order, the owner takes them out and posts others. The owner's side takes no lock; senders take one once per burst.
class port {
 public:
  explicit port(const settings& with)
      : ring_(with.ring), promiscuous_(with.promiscuous), info_{.name = "", .mac = with.mac, .mtu = with.mtu} {}
  port(const port&) = delete;
  port& operator=(const port&) = delete;

  status open(reason& why);

  const link_info& info() const { return info_; }
  bool promiscuous() const { return promiscuous_; }
  pool& frames() { return *frames_; }

  // Before the hub shows the port to others.
  void set_mac(const mac_address& mac) { info_.mac = mac; }
  void set_name(const char* name) { info_.name = name; }

  // Owner only.
  std::size_t receive(burst& out, counters& count);
  void count_losses(counters& count);
  bool arm();
  int wake_fd() const { return bell_.number(); }

  // From other ports' threads, while they are inside a sending section.
  void deliver(std::span<packet* const> frames);

  // A sending section of the owner's: what it saw of the hub's list of ports stays valid until it ends.
  void begin_sending();
  void end_sending();
  // Returns when the section that was open at the time of the call, if any, has ended.
  void await_sender() const;

  std::atomic<port*> next{nullptr};  // the hub's list

 private:
  // In shared memory: a forked child that takes the stack over finds the same frames. A cache line for each writer.
  struct shared_state {
    alignas(64) std::atomic<std::uint32_t> posted;  // slots that the owner has put an empty packet in, ever
    std::atomic<std::uint32_t> section;             // odd while the owner is inside a sending section
    std::uint64_t counted_overruns, counted_refused;
    alignas(64) std::atomic<std::uint32_t> filled;  // slots that senders have filled, ever
    std::atomic<std::uint64_t> overruns;            // frames that found no posted slot
    std::atomic<std::uint64_t> refused;             // frames that this port's MTU doesn't carry
    spin_lock senders;
    alignas(64) std::atomic<std::uint32_t> bell;
  };
  enum bell_state : std::uint32_t { silent, armed, rung };

  struct ring_slot {
    packet* frame;
  };

  packet*& slot(std::uint32_t at) { return slots_[at & (ring_ - 1)].frame; }
  void post();
  void ring_bell();
  void fill(packet& slot, packet& from);

  const std::uint32_t ring_;
  const bool promiscuous_;
  link_info info_;
  std::unique_ptr<pool> frames_;
  shared_array<shared_state> shared_;
  shared_array<ring_slot> slots_;
  descriptor bell_;
  std::uint32_t posted_ = 0;  // what the owner alone writes, without a look at shared memory
  std::uint32_t taken_ = 0;
};

}  // namespace fastudp::mem
