#pragma once
// Makes packets of what the kernel hands over: copies frames into the link's pool, puts tags back to where they were on
// the wire, cuts super-packets up.

#include <optional>

#include "base/counters.h"
#include "link/packet/frame.h"
#include "link/packet/segments.h"
#include "packet/burst.h"
#include "packet/pool.h"

namespace fastudp::af_packet {

class intake {
 public:
  // Where tags aren't kept, what comes in is this host's whatever its tag says.
  intake(pool& frames, counters& count, bool keeps_tags) : frames_(frames), count_(count), keeps_tags_(keeps_tags) {}

  // Takes a frame, or as much of a super-packet as the burst has room for. True when nothing of it is left, so that it
  // may be given back; else go_on() takes more.
  bool take(const received_frame& f, burst& out);
  bool go_on(burst& out);
  bool is_amid_frame() const { return pieces_.has_value(); }

  // All that a ring has and the burst has room for.
  template <typename Ring>
  void take_all(Ring& from, burst& out) {
    if (is_amid_frame()) {
      if (!go_on(out)) return;
      from.give_back();
    }
    received_frame f;
    for (std::size_t budget = out.room(); budget != 0 && out.room() != 0 && from.next(f); --budget) {
      if (!take(f, out)) return;
      from.give_back();
    }
  }

 private:
  struct tag {
    std::uint16_t type = 0, information = 0;
  };
  std::optional<tag> tag_of(const received_frame& f) const;

  packet* make_room(std::size_t size, const std::optional<tag>& t);
  void append(packet* p, std::size_t size, const std::optional<tag>& t, checksum_state checksum, std::int64_t stamp,
              burst& out);
  void take_whole(const received_frame& f, burst& out);

  pool& frames_;
  counters& count_;
  bool keeps_tags_;
  std::optional<segments> pieces_;
  std::optional<tag> their_tag_;
  std::int64_t their_stamp_ = 0;
  std::size_t next_piece_ = 0;
};

}  // namespace fastudp::af_packet
