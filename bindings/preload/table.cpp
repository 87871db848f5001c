#include "table.h"

#include <sys/mman.h>

namespace preload {

constinit descriptor_table table;

entry descriptor_table::load_beyond_first(unsigned at) const {
  if (at >= page_size * pages) return entry::kernel;
  const page* p = pages_[at / page_size].load(std::memory_order_acquire);
  return p == nullptr ? entry::unknown : p->entries[at % page_size].load(std::memory_order_acquire);
}

// The page comes from the kernel: an allocator may be the one that calls.
std::atomic<entry>* descriptor_table::place(int fd) {
  const auto at = static_cast<unsigned>(fd);
  if (at >= page_size * pages) return nullptr;
  std::atomic<page*>& slot = pages_[at / page_size];
  page* p = slot.load(std::memory_order_acquire);
  if (p == nullptr) {
    void* made = mmap(nullptr, sizeof(page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) return nullptr;
    if (slot.compare_exchange_strong(p, static_cast<page*>(made), std::memory_order_acq_rel)) {
      p = static_cast<page*>(made);
    } else {
      munmap(made, sizeof(page));
    }
  }
  return &p->entries[at % page_size];
}

bool descriptor_table::exchange(int fd, entry what, entry& before) {
  std::atomic<entry>* slot = place(fd);
  if (slot == nullptr) return false;
  before = slot->exchange(what, std::memory_order_acq_rel);
  return true;
}

bool descriptor_table::replace(int fd, entry expected, entry what) {
  std::atomic<entry>* slot = place(fd);
  return slot != nullptr && slot->compare_exchange_strong(expected, what, std::memory_order_acq_rel);
}

}  // namespace preload
