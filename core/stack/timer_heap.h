#pragma once
// Which of many entries is due next: a binary heap in which each entry knows its place, so that a timer can be moved or
// stopped without a search.

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/memory.h"
#include "base/result.h"
#include "base/time.h"

namespace fastudp {

// T has a time_point `due` and an std::uint32_t `timer`, which is the heap's: 0 while the entry is not in it.
template <typename T>
class timer_heap {
 public:
  status open(std::uint32_t entries) {
    auto made = shared_array<slot>::map(entries);
    if (!made) return made.failure();
    heap_ = std::move(*made);
    return {};
  }

  T* earliest() const { return size_ != 0 ? heap_[0].entry : nullptr; }
  time_point deadline() const { return size_ != 0 ? heap_[0].entry->due : never; }

  void set(T& entry, time_point due) {
    entry.due = due;
    if (due == never) return stop(entry);
    if (entry.timer == 0) place(size_++, entry);
    restore(entry.timer - 1);
  }

 private:
  struct slot {
    T* entry;
  };
  void place(std::uint32_t at, T& entry) {
    heap_[at].entry = &entry;
    entry.timer = at + 1;
  }
  void stop(T& entry) {
    if (entry.timer == 0) return;
    const std::uint32_t gap = std::exchange(entry.timer, 0) - 1;
    T& last = *heap_[--size_].entry;
    if (&last == &entry) return;
    place(gap, last);
    restore(gap);
  }
  // The heap is in order but for the entry at `at`.
  void restore(std::uint32_t at) {
    T& entry = *heap_[at].entry;
    for (std::uint32_t up; at != 0 && entry.due < heap_[up = (at - 1) / 2].entry->due; at = up) {
      place(at, *heap_[up].entry);
    }
    for (std::uint32_t down; (down = earlier_child(at)) < size_ && heap_[down].entry->due < entry.due; at = down) {
      place(at, *heap_[down].entry);
    }
    place(at, entry);
  }
  // One that is not there when there is none.
  std::uint32_t earlier_child(std::uint32_t at) const {
    const std::uint32_t left = 2 * at + 1;
    return left + 1 < size_ && heap_[left + 1].entry->due < heap_[left].entry->due ? left + 1 : left;
  }

  shared_array<slot> heap_;
  std::uint32_t size_ = 0;
};

}  // namespace fastudp
