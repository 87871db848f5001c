#pragma once
// Wakes whoever sleeps until there are frames, on a port that can't say so: soon after there were some, and more and
// more rarely while nothing comes.

#include <cstdint>

#include "base/descriptor.h"
#include "base/result.h"

namespace fastudp::dpdk {

class alarm {
 public:
  status open();

  int descriptor_number() const { return timer_.number(); }
  // Frames have come.
  void hasten() { period_ = shortest; }
  // Starts anew; one that has gone off since it was last set did so for nothing.
  void set();

 private:
  static constexpr std::int64_t shortest = 50'000, longest = 1'000'000;  // nanoseconds

  descriptor timer_;
  std::int64_t period_ = shortest;
};

}  // namespace fastudp::dpdk
