#pragma once
// Makes packets of what the kernel hands over: copies frames into the link's pool, puts tags back to where they were on
// the wire, cuts super-packets up.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/counters.h"
#include "link/segments.h"
#include "packet/burst.h"
#include "packet/pool.h"

namespace fastudp {

struct vlan_tag {
  std::uint16_t type = 0, information = 0;
};

// A frame where the kernel has put it.
struct received_frame {
  const std::byte* header = nullptr;  // virtio_net_hdr
  std::span<const std::byte> bytes;   // what there is of it
  std::size_t length = 0;             // of the whole frame
  checksum_state checksum{};          // what is known of it where the header says nothing
  std::optional<vlan_tag> tag;        // that was taken out of it
  std::int64_t stamp = 0;             // when it arrived; 0: the kernel doesn't say

  bool is_whole() const { return bytes.size() == length; }
};

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
  std::optional<vlan_tag> tag_of(const received_frame& f) const { return keeps_tags_ ? f.tag : std::nullopt; }
  packet* make_room(std::size_t size, const std::optional<vlan_tag>& tag);
  void append(packet* p, std::size_t size, const std::optional<vlan_tag>& tag, checksum_state checksum,
              std::int64_t stamp, burst& out);
  void take_whole(const received_frame& f, burst& out);

  pool& frames_;
  counters& count_;
  bool keeps_tags_;
  std::optional<segments> pieces_;
  std::optional<vlan_tag> their_tag_;
  std::int64_t their_stamp_ = 0;
  std::size_t next_piece_ = 0;
};

}  // namespace fastudp
