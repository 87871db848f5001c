#pragma once
// Who is on the link and at which address of it: the state machine of RFC 4861 7.3.2, which serves ARP as well, in a
// bounded table. A sender never waits: its packets are parked, bounded too.

#include <cstdint>

#include "base/address.h"
#include "base/counters.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "packet/packet.h"
#include "stack/entry_list.h"
#include "stack/timer_heap.h"

namespace fastudp {

enum class neighbour_state : std::uint8_t { none, incomplete, reachable, stale, delay, probe, failed, permanent };

struct neighbour {
  ip_address address;
  mac_address mac{};
  neighbour_state state{};
  std::uint8_t solicitations = 0;  // sent in this state
  bool asked = false;              // a solicitation is out that no reply has come to
  bool wanted = false;             // a sender of ours has asked for it
  std::uint32_t timer = 0;         // the timer heap's
  time_point due = 0;              // when this state ends by itself
  time_point changed = 0;          // when the address on the link last changed
  packet* parked_first = nullptr;
  packet* parked_last = nullptr;
  std::uint32_t parked_bytes = 0;
  neighbour* next = nullptr;        // in its bucket, or in the list of free entries
  list_links<neighbour> order{};    // among those that may have to make room
  list_links<neighbour> waiting{};  // among those that packets are parked for
};

// What the protocol that found a neighbour says of it.
enum class heard_as : std::uint8_t {
  solicited_reply,  // to us
  other_reply,      // unasked for, or to others
  request_to_us,    // its sender wants to talk to us, so that we shall answer
  other_request,    // its sender talks about itself
};

// What the table wants done. The stack does it. None of these calls comes back into the table but for `unreachable`, at
// whose time the neighbour has failed already.
class neighbour_events {
 public:
  // Ask for a neighbour's address on the link: everybody, or one host that had it.
  virtual void solicit(const ip_address& target, const mac_address* unicast_to) = 0;
  // A parked frame can go. Takes ownership.
  virtual void release_parked(packet* frame, const mac_address& to) = 0;
  // A parked frame can't go. Takes ownership.
  virtual void unreachable(packet* frame) = 0;
  // Senders who remember a neighbour have to ask again: it is elsewhere, gone, or to be watched.
  virtual void changed() = 0;

 protected:
  ~neighbour_events() = default;
};

class neighbour_table {
 public:
  // Linux's parameters for ARP.
  static constexpr duration retransmit = second, delay_before_probe = 5 * second, base_reachable = 30 * second,
                            lock_time = second, failed_for = 60 * second;
  static constexpr std::uint8_t most_solicitations = 3;
  static constexpr std::uint32_t most_parked_bytes = 212'992;  // per neighbour, as Linux counts bytes

  neighbour_table(neighbour_events& events, counters& count, random_source& random)
      : events_(events), count_(count), random_(random) {}
  ~neighbour_table();
  neighbour_table(const neighbour_table&) = delete;
  neighbour_table& operator=(const neighbour_table&) = delete;

  // `most_parked` bounds the packets parked in the whole table.
  status open(std::uint32_t entries, std::uint32_t most_parked);

  neighbour* find(const ip_address& address) const;
  // A sender wants it: resolves what is unknown, probes what is old. Null: the table is full of entries in use. Of
  // entries that are not in use, those that strangers made go first, then the ones used longest ago, and when all are
  // in use the one that has been waiting for an answer the longest.
  neighbour* use(const ip_address& address, time_point now);
  // For a neighbour that is incomplete. Takes ownership of the frame. When there is no room its oldest goes, or else
  // the oldest of the neighbour that has been waiting the longest.
  void park(neighbour& n, packet* frame);

  void heard(const ip_address& address, const mac_address& mac, heard_as how, time_point now);
  // A higher layer knows that it is alive.
  void confirm(const ip_address& address, time_point now);

  // To permanent or stale. ENOSPC: the table is full of entries in use.
  status set(const ip_address& address, const mac_address& mac, neighbour_state state);
  // ENOENT. Parked packets count as not deliverable.
  status remove(const ip_address& address);
  void remove_all();

  time_point deadline() const { return timers_.deadline(); }
  void advance(time_point now);

  std::uint32_t size() const { return size_; }
  std::uint32_t parked() const { return parked_; }

 private:
  struct bucket {
    neighbour* first;
  };
  using order_list = entry_list<neighbour, &neighbour::order>;

  neighbour* create(const ip_address& address, bool for_a_sender);
  neighbour* take_entry(bool for_a_sender);
  neighbour* least_needed(bool for_a_sender) const;
  void erase(neighbour& n);
  neighbour*& bucket_of(const ip_address& address) const;
  order_list* order_of(const neighbour& n);

  void enter(neighbour& n, neighbour_state state, time_point due);
  void enter_reachable(neighbour& n, time_point now);
  void enter_and_solicit(neighbour& n, neighbour_state state, time_point now);
  void solicit(neighbour& n, time_point now);
  void run(neighbour& n, time_point now);
  void fail(neighbour& n, time_point now);

  packet* unpark(neighbour& n);
  packet* unpark_all(neighbour& n);
  void drop_oldest(neighbour& n, drop why);
  void release_parked(neighbour& n);
  void give_up(packet* parked);

  neighbour_events& events_;
  counters& count_;
  random_source& random_;
  shared_array<neighbour> entries_;
  shared_array<bucket> buckets_;
  timer_heap<neighbour> timers_;
  order_list strangers_;   // stale, made by a request from outside, never wanted here
  order_list idle_;        // stale or failed
  order_list incomplete_;  // the longest wait first
  entry_list<neighbour, &neighbour::waiting> waiting_;
  neighbour* free_ = nullptr;
  std::uint32_t fresh_ = 0;  // entries from here on were never taken, and so never touched
  std::uint64_t secret_ = 0;
  std::uint32_t size_ = 0, parked_ = 0, most_parked_ = 0;
};

}  // namespace fastudp
