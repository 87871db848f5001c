#pragma once
// What is known of each descriptor: one load says "not ours". Sparse, since limits on descriptors can be huge.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace preload {

class fast_socket;
class epoll_set;

// One of four: never looked at; the kernel's alone; the library's own, which the program has no business with; or
// an object of ours, whose reference the table holds.
class entry {
 public:
  enum kind : std::uintptr_t { unknown = 0, kernel = 1, internal = 2 };

  constexpr entry() = default;
  constexpr entry(kind k) : word_(k) {}
  explicit entry(fast_socket* s) : word_(reinterpret_cast<std::uintptr_t>(s)) {}
  explicit entry(epoll_set* s) : word_(reinterpret_cast<std::uintptr_t>(s) | set_tag) {}

  bool is_unknown() const { return word_ == unknown; }
  bool is_internal() const { return word_ == internal; }
  bool is_object() const { return word_ > internal; }
  // The kernel's or the library's own: nothing to do but what libc does.
  bool is_foreign() const { return word_ - kernel <= internal - kernel; }
  fast_socket* socket() const {
    return is_object() && !(word_ & set_tag) ? reinterpret_cast<fast_socket*>(word_) : nullptr;
  }
  epoll_set* set() const {
    return is_object() && (word_ & set_tag) ? reinterpret_cast<epoll_set*>(word_ & ~set_tag) : nullptr;
  }
  bool operator==(const entry&) const = default;

 private:
  static constexpr std::uintptr_t set_tag = 4;  // objects are aligned to more
  std::uintptr_t word_ = unknown;
};

class descriptor_table {
 public:
  static constexpr std::size_t page_size = 1024, pages = 1024;

  // Beyond the table all is the kernel's.
  entry load(int fd) const {
    const auto at = static_cast<unsigned>(fd);
    if (at < page_size) [[likely]]
      return first_.entries[at].load(std::memory_order_acquire);
    return load_beyond_first(at);
  }
  // The same without a call in it, for loops: what lies beyond the first page is unknown.
  entry load_near(int fd) const {
    if (static_cast<unsigned>(fd) < page_size) [[likely]]
      return first_.entries[fd].load(std::memory_order_acquire);
    return fd < 0 ? entry::kernel : entry::unknown;
  }

  // False: there is no memory, or no such place.
  bool store(int fd, entry what) {
    entry before;
    return exchange(fd, what, before);
  }
  bool exchange(int fd, entry what, entry& before);
  // Only if it is `expected` still.
  bool replace(int fd, entry expected, entry what);

  // Calls visit(fd, entry) for each object and internal descriptor from `first` on, in order.
  template <typename Visit>
  void for_each_from(unsigned first, const Visit& visit) const {
    for (std::size_t i = first / page_size; i < pages; ++i) {
      const page* p = pages_[i].load(std::memory_order_acquire);
      if (p == nullptr) continue;
      for (std::size_t j = 0; j < page_size; ++j) {
        const entry e = p->entries[j].load(std::memory_order_acquire);
        const std::size_t at = i * page_size + j;
        if (at >= first && (e.is_object() || e.is_internal())) visit(static_cast<int>(at), e);
      }
    }
  }

 private:
  struct page {
    std::atomic<entry> entries[page_size];
  };
  std::atomic<entry>* place(int fd);
  entry load_beyond_first(unsigned at) const;

  page first_{};  // most programs need no other
  std::atomic<page*> pages_[pages]{&first_};
};

extern descriptor_table table;

// Hooks begin with this where descriptors of others are to cost next to nothing.
inline bool is_foreign(int fd) { return table.load(fd).is_foreign(); }

}  // namespace preload
