#pragma once
// A fixed number of frames of one size. Taking and releasing is the owner's; other threads hand frames back by a list.

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/memory.h"
#include "base/result.h"
#include "packet/packet.h"

namespace fastudp {

// Room before a fresh packet's first byte: Ethernet, two tags, the longest IPv4 header, UDP and a virtio-net header
// fit.
inline constexpr std::uint32_t default_headroom = 128;

class pool {
 public:
  // `count` frames of `frame_size` bytes. Frames that were never taken cost address space only.
  static result<std::unique_ptr<pool>> create(std::uint32_t count, std::uint32_t frame_size);
  // Without memory of its own: for frames of a device's, each of which is adopted once and stays until the pool goes.
  static result<std::unique_ptr<pool>> create_for_adoption(std::uint32_t frame_size);
  void adopt(packet* p, std::byte* frame);

  // An empty packet with default_headroom, or null when all are out. Owner only.
  packet* take();
  // Owner only.
  void release(packet* p) {
    p->next = free_;
    free_ = p;
    ++available_;
  }
  // From any thread; the owner sees the frame at its next take() that finds nothing else, or at reclaim().
  void release_from_any_thread(packet* p);
  void reclaim();

  std::uint32_t count() const { return count_; }
  std::uint32_t frame_size() const { return frame_size_; }
  std::uint32_t available() const { return available_; }  // without what other threads have handed back since
  std::byte* memory() const { return frames_.data(); }
  // By its place in that memory; it was taken before.
  packet& at(std::size_t number) const { return packets_[number]; }

 private:
  pool() = default;
  packet* take_fresh();

  shared_array<packet> packets_;
  shared_memory frames_;
  packet* free_ = nullptr;
  std::atomic<packet*> returned_{nullptr};
  std::uint32_t fresh_ = 0;  // packets from here on were never taken, and so never touched
  std::uint32_t available_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t frame_size_ = 0;
};

inline void release(packet* p) { p->home->release(p); }

}  // namespace fastudp
