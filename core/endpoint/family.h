#pragma once
// What the processes that fork from one program share of a stack: which end of the link is whose, news for each other,
// and what is common to their halves of one socket.

#include <sys/types.h>

#include <atomic>
#include <cstdint>

#include "base/memory.h"
#include "base/result.h"
#include "link/link.h"

namespace fastudp {

// One kernel socket, for all processes that have it.
struct shared_socket {
  std::uint64_t cookie;
  std::atomic<std::uint32_t> users;
  std::atomic<bool> is_fast;          // on the fast path; otherwise the kernel's for all
  std::atomic<std::uint32_t> losses;  // of the kernel's, that some process has counted
  std::atomic<std::uint32_t> joins;   // how often a process has begun to receive by an end of its own
};

// An end of the link, and how often its holder has used the stack on it.
struct shared_end {
  std::atomic<pid_t> holder;  // 0: nobody
  std::atomic<std::uint64_t> uses;
};

class family {
 public:
  // This process holds end 0.
  status open();

  // ---- Ends of the link. What claims belong to them is changed with the family's lock held.

  class guard {
   public:
    explicit guard(family& of) : of_(of) { of_.acquire(); }
    ~guard() { of_.control_->lock_holder.store(0, std::memory_order_release); }
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;

   private:
    family& of_;
  };
  // Ends 1 and further are there.
  void add_ends() { control_->ends.store(most_ends, std::memory_order_release); }
  bool has_spare_ends() const { return control_->ends.load(std::memory_order_acquire) > 1; }
  shared_end& end(unsigned number) const { return control_->end[number]; }
  // Needs no lock. EUSERS: all are held.
  result<unsigned> take_end(pid_t by);

  // ---- News: a socket has become the kernel's, or another process receives by it as well.

  void tell() { control_->news.fetch_add(1, std::memory_order_acq_rel); }
  bool has_news() const { return control_->news.load(std::memory_order_acquire) != seen_; }
  void news_are_seen() { seen_ = control_->news.load(std::memory_order_acquire); }

  // ---- Sockets

  // One that isn't new may be known here already. Null: none is left.
  shared_socket* take_socket(std::uint64_t cookie, bool is_new);
  // One that was inherited; false: those who had it have closed it since, and it may be another's by now.
  bool use(shared_socket& socket, std::uint64_t cookie);
  // Sockets that a process of the family has opened: those that it shares a port with are no strangers. Of very many
  // the last ones are known; none is ever mistaken for another.
  void remember(std::uint64_t cookie);
  bool knows(std::uint64_t cookie) const;
  static void give_back(shared_socket& socket) { socket.users.fetch_sub(1, std::memory_order_acq_rel); }

 private:
  struct control {
    std::atomic<std::uint64_t> lock_holder;  // process and thread
    std::atomic<std::uint32_t> ends, news, remembered;
    std::size_t next_socket, sockets_used;  // beyond the latter none ever was
    shared_end end[most_ends];
  };
  static constexpr std::size_t most_sockets = 65'536, most_remembered = 16'384;
  void acquire();
  shared_socket* find(std::uint64_t cookie) const;

  shared_array<control> shared_;
  shared_array<shared_socket> sockets_;
  shared_array<std::atomic<std::uint64_t>> cookies_;
  control* control_ = nullptr;
  std::uint32_t seen_ = 0;
};

// Whether a process has ended, though nobody may have waited for it yet.
bool has_ended(pid_t process);

}  // namespace fastudp
