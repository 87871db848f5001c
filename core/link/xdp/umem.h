#pragma once
// The link's frames, in which the kernel puts what comes in and from which it sends: each packet of the pool is a chunk
// of the UMEM, and stays one wherever it goes.

#include <memory>

#include "base/reason.h"
#include "base/result.h"
#include "packet/pool.h"

namespace fastudp::xdp {

class umem {
 public:
  // The kernel keeps so much of a chunk before what it receives (XDP_PACKET_HEADROOM).
  static constexpr std::uint32_t kernel_headroom = 256;
  // A page: longer chunks the kernel doesn't take.
  static constexpr std::uint32_t largest_chunk = 4096;
  static constexpr std::uint32_t longest_frame = largest_chunk - kernel_headroom;

  static std::uint32_t chunk_size(std::uint32_t frame);

  // Chunks for frames of up to `frame` bytes.
  static result<umem> create(std::uint32_t chunks, std::uint32_t frame, reason& why);
  // Hands the memory to an AF_XDP socket, whose it is from now on; those of other queues share it.
  status register_with(int socket, reason& why) const;

  pool& frames() const { return *frames_; }

  bool owns(const packet& p) const { return p.home == frames_.get(); }
  // Of its first byte in use.
  std::uint64_t address_of(const packet& p) const {
    return static_cast<std::uint64_t>(p.frame + p.begin - frames_->memory());
  }
  std::uint64_t address_of_chunk(const packet& p) const {
    return static_cast<std::uint64_t>(p.frame - frames_->memory());
  }
  // Of a chunk, from any address in it, which was taken from the pool before.
  packet& packet_at(std::uint64_t address) const { return frames_->at(address / frames_->frame_size()); }
  std::uint32_t offset_in_chunk(std::uint64_t address) const {
    return static_cast<std::uint32_t>(address & (frames_->frame_size() - 1));
  }

 private:
  std::unique_ptr<pool> frames_;
};

}  // namespace fastudp::xdp
