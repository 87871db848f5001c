#pragma once
// A ring that is shared with the kernel: one side produces, the other consumes. All of its state is in the mapped
// memory, so that a child which takes a link over sees where it was.

#include <linux/if_xdp.h>

#include <cstddef>
#include <cstdint>

#include "base/memory.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp::xdp {

template <typename Entry>
class ring {
 public:
  ring() = default;
  // Of `size` entries, a power of two.
  ring(shared_memory&& memory, const xdp_ring_offset& at, std::uint32_t size)
      : memory_(std::move(memory)),
        producer_(place<std::uint32_t>(at.producer)),
        consumer_(place<std::uint32_t>(at.consumer)),
        flags_(place<std::uint32_t>(at.flags)),
        entries_(place<Entry>(at.desc)),
        size_(size) {}

  static std::size_t bytes(const xdp_ring_offset& at, std::uint32_t size) { return at.desc + size * sizeof(Entry); }

  std::uint32_t filled() const { return produced() - consumed(); }
  std::uint32_t room() const { return size_ - filled(); }
  // The kernel sleeps, and has to be told of what is new.
  bool needs_wakeup() const { return (__atomic_load_n(flags_, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP) != 0; }

  // Ours to produce: entries ahead of what the kernel knows of, within room(), then all at once.
  Entry& ahead(std::uint32_t n) { return entries_[(*producer_ + n) & (size_ - 1)]; }
  void produce(std::uint32_t n) { __atomic_store_n(producer_, *producer_ + n, __ATOMIC_RELEASE); }

  // Ours to consume: within filled().
  const Entry& next(std::uint32_t n) const { return entries_[(*consumer_ + n) & (size_ - 1)]; }
  void consume(std::uint32_t n) { __atomic_store_n(consumer_, *consumer_ + n, __ATOMIC_RELEASE); }

 private:
  template <typename T>
  T* place(std::uint64_t offset) const {
    return reinterpret_cast<T*>(memory_.data() + offset);
  }
  std::uint32_t produced() const { return __atomic_load_n(producer_, __ATOMIC_ACQUIRE); }
  std::uint32_t consumed() const { return __atomic_load_n(consumer_, __ATOMIC_ACQUIRE); }

  shared_memory memory_;
  std::uint32_t *producer_ = nullptr, *consumer_ = nullptr, *flags_ = nullptr;
  Entry* entries_ = nullptr;
  std::uint32_t size_ = 0;
};

}  // namespace fastudp::xdp
