#pragma once
// UDP_GRO: which of the datagrams that come for a socket a program gets as one.

#include <cstdint>

#include "packet/packet.h"

namespace fastudp {

// Of a datagram that is about to be queued.
enum class place_in_row : std::uint8_t {
  first,         // read alone, or with those that follow
  piece,         // of one send, of which the first was kept
  joined,        // off the wire, and like the one before it
  piece_of_lost  // of one send, of which the first was not kept
};

// The row that the last datagram of a receive queue belongs to.
class datagram_row {
 public:
  // Where the next one belongs, behind `last`, the last that is queued (null: none is). `burst` numbers the bursts that
  // datagrams come in, as only those of one are joined.
  place_in_row add(const packet* last, const packet& next, std::uint64_t burst);
  // The one that was added last wasn't kept.
  void lose() {
    *this = {};
    is_lost_ = true;
  }

 private:
  bool takes(const packet& last, const packet& next) const;
  void begin(const packet& first, std::uint64_t burst);

  std::uint32_t size_ = 0;  // of each but the last
  std::uint32_t count_ = 0, bytes_ = 0;
  std::uint64_t burst_ = 0;
  bool is_off_wire_ = false, is_lost_ = false;
};

// The next of those that a program gets as one with it.
inline packet* joined_to(const packet& queued) {
  return queued.next != nullptr && queued.next->joins == joining::always ? queued.next : nullptr;
}

}  // namespace fastudp
