#pragma once
// The stack's own memory for datagrams that may not or cannot stay in the link's frames: those that a slow reader
// leaves lying, those longer than a frame, and those put together from fragments.

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "packet/pool.h"

namespace fastudp {

class frame_store {
 public:
  static result<frame_store> create();

  // A packet with room for `size` bytes behind the headroom, from the smallest frames that do; null when all are out.
  packet* take(std::uint32_t size);
  // A copy of a packet: bytes in use, the headers that `network` and `transport` point to, checksum state.
  packet* copy(const packet& original);

  bool owns(const pool& frames) const;
  pool& large() { return *sizes_[2]; }
  // Frames that are out now; with none out the store may go.
  std::uint32_t in_use() const;
  void reclaim();

 private:
  std::unique_ptr<pool> sizes_[3];
};

}  // namespace fastudp
