#pragma once
// A bad network on what is transmitted: loss, duplication, corruption, reordering, delay. What is received is left as
// it is; a bad network in both directions has an impaired link at either end.

#include <cstdint>

#include "base/counters.h"
#include "base/memory.h"
#include "base/random.h"
#include "link/wrap/link_around.h"

namespace fastudp::wrap {

// Chances are in parts per million and independent of each other.
struct impairment {
  std::uint32_t loss = 0;
  std::uint32_t duplicate = 0;
  std::uint32_t reorder = 0;  // of frames that are held up to a millisecond longer, so that later ones overtake them
  std::uint32_t corrupt = 0;  // of frames in which one bit, anywhere, is flipped
  duration delay = 0;
  std::uint64_t seed = 1;  // the same seed, frames and times give the same network

  bool does_something() const { return loss != 0 || duplicate != 0 || reorder != 0 || corrupt != 0 || delay != 0; }
};

// What was done on purpose; it is no drop of the link's.
struct impairment_counts {
  std::uint64_t lost = 0, duplicated = 0, reordered = 0, corrupted = 0;
};

class impaired_link final : public link_around {
 public:
  static constexpr duration longest_hold = millisecond;

  // Null when memory is short. Frames for which there is no room to be held are counted as link_tx_full.
  static link_ptr around(link_ptr inner, const impairment& with, counters& count);
  ~impaired_link() override;

  std::size_t tx_burst(const burst& in) override;
  void tx_flush() override;
  time_point deadline() const override;
  void advance(time_point now) override;

  const impairment_counts& done() const { return done_; }

 private:
  struct held {
    time_point due;
    std::uint64_t order;
    packet* frame;

    bool operator<(const held& other) const {  // the first to leave is the largest, as the standard's heaps want it
      return due != other.due ? due > other.due : order > other.order;
    }
  };

  impaired_link(link_ptr inner, const impairment& with, counters& count);

  void admit(packet* p);
  void launch(packet* p);
  void corrupt(packet& p);
  void hold(packet* p, time_point due);
  packet* copy_of(packet& p);
  void move_due();
  void push();

  const impairment with_;
  counters& count_;
  random_source random_;
  impairment_counts done_;
  time_point now_ = 0;
  burst ready_;                 // decided about, and not yet taken by the inner link
  shared_array<held> waiting_;  // a heap
  std::size_t waiting_count_ = 0;
  std::uint64_t order_ = 0;
};

}  // namespace fastudp::wrap
