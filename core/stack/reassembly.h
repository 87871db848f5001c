#pragma once
// Fragments put together (RFC 791 3.2, RFC 8200 4.5) in bounded memory and time. Fragments that overlap are an attack
// or an error, and discard their datagram (RFC 5722 4, which Linux applies to IPv4 too).

#include <array>
#include <cstdint>

#include "base/address.h"
#include "base/counters.h"
#include "base/time.h"
#include "packet/pool.h"
#include "stack/ipv6_chain.h"

namespace fastudp {

class reassembly_events {
 public:
  // The others didn't come in time; `first_fragment` begins with the datagram's start. It stays the caller's.
  virtual void timed_out(packet* first_fragment, time_point now) = 0;

 protected:
  ~reassembly_events() = default;
};

class reassembly {
 public:
  static constexpr std::size_t most_datagrams = 64;    // under way at once; a new one displaces the oldest
  static constexpr std::size_t most_of_a_source = 16;  // of these; one more displaces its own oldest
  static constexpr std::size_t most_ranges = 64;       // pieces of one datagram that don't touch each other
  // As Linux's ipfrag_time and ip6frag_time; RFC 8200 4.5 says 60 s.
  static constexpr duration lifetime = 30 * second, lifetime_v6 = 60 * second;

  reassembly(pool& large, reassembly_events& events, counters& count) : large_(large), events_(events), count_(count) {}
  ~reassembly();
  reassembly(const reassembly&) = delete;
  reassembly& operator=(const reassembly&) = delete;

  // A fragment whose IP header, at the packet's beginning, has been verified. Takes ownership. Returns the whole
  // datagram, IP header first, when this was the last piece; else null.
  packet* add(packet* fragment, time_point now);
  // The same for IPv6; `chain` says where the packet has its fragment header, which is not all there is of it.
  packet* add(packet* fragment, const ipv6_chain& chain, time_point now);

  time_point deadline() const { return deadline_; }
  void advance(time_point now);

  // Datagrams under way, the fragments that they hold, and how many frames fewer there are since fragments became
  // datagrams: with these every fragment that ever came is accounted for.
  std::uint32_t datagrams() const;
  std::uint32_t held() const;
  std::uint64_t joined() const { return joined_; }

 private:
  struct key {
    ip_address source, destination;
    std::uint32_t identification = 0;
    std::uint8_t protocol = 0;  // 0 for IPv6, where it doesn't count
    friend bool operator==(const key&, const key&) = default;
  };
  struct range {
    std::uint32_t begin, end;  // of the payload
  };
  struct pending {
    key of;
    time_point expires = 0;         // 0: this place is free
    packet* whole = nullptr;        // null: its fragments can't be right, the rest is
                                    // swallowed until it expires
    std::uint32_t total = 0;        // of the payload; 0 until the last fragment came
    std::uint32_t header_size = 0;  // of the first fragment; 0 until it came
    std::uint32_t first_size = 0;   // of its payload
    std::uint32_t fragment_count = 0;
    std::uint32_t range_count = 0;
    std::uint8_t ecn_seen = 0;              // a bit for each of the four codepoints
    std::array<range, most_ranges> ranges;  // sorted, apart from each other

    std::uint32_t end() const { return range_count != 0 ? ranges[range_count - 1].end : 0; }
    bool is_complete() const { return total != 0 && range_count == 1 && ranges[0].begin == 0 && end() == total; }
  };
  enum class verdict { kept, duplicate, refused };
  struct piece;

  pending* find(const key& of);
  packet* add(packet* fragment, const key& of, const piece* p, time_point now);
  pending* start(const key& of, time_point now);
  pending& make_room(ip_address source);
  static verdict insert(pending& d, range r);
  static verdict copy_in(pending& d, const piece& p);
  packet* take_piece(pending& d, const piece& p);
  packet* finish(pending& d);
  void give_up(pending& d, drop why);
  void expire(pending& d, time_point now);

  pool& large_;
  reassembly_events& events_;
  counters& count_;
  std::array<pending, most_datagrams> pending_;
  time_point deadline_ = never;
  std::uint64_t joined_ = 0;
};

}  // namespace fastudp
