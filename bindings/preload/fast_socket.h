#pragma once
// A socket of fastudp's, shared by the descriptors that are duplicates of one another. The memory is never given back,
// so that looking at one that has just been closed is harmless.

#include <fastudp.h>

#include <atomic>
#include <cstdint>

#include "table.h"

namespace preload {

class alignas(64) fast_socket {
 public:
  // With one descriptor and its reference. `companion` is a descriptor of ours, closed with it. Null: no memory.
  static fast_socket* make(fastudp_socket* handle, int companion, bool nonblocking);
  // The one behind whichever descriptor refers to the same socket of the kernel's as `fd`, pinned, or null.
  static fast_socket* find_same(int fd);

  // False: it is being closed.
  bool pin();
  void unpin() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) [[unlikely]]
      retire(false);
  }
  // A descriptor more, or less, refers to it; each holds a reference. After the last nobody waits for it any more.
  void number_opened() { numbers_.fetch_add(1, std::memory_order_relaxed); }
  void number_closed();
  bool is_closed() const { return numbers_.load(std::memory_order_acquire) == 0; }
  // For use inside of fastudp: the last one leaves the closing to the next call.
  void unpin_soon() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) retire(true);
  }
  // Closes what was left to a later call.
  static void bury_the_dead();
  static bool has_dead() { return dead_.load(std::memory_order_relaxed) != nullptr; }

  fastudp_socket* handle() const { return handle_; }
  bool is_ipv4() const { return is_ipv4_; }
  // Differs between two sockets that had the same memory.
  std::uint64_t identity() const { return identity_; }

  // Counts a datagram that a call from a signal handler moved past fastudp; told to it by the next call.
  void count_nested(bool received) {
    (received ? nested_received_ : nested_sent_).fetch_add(1, std::memory_order_relaxed);
  }
  void tell_nested();

  std::atomic<bool> nonblocking{false};
  std::atomic<bool> receive_is_shut{false};
  std::atomic<bool> is_bound_by_program{false};  // to a port of its choice: rules call it `in`
  std::atomic<bool> sends_pieces{false};         // a datagram in pieces may be held back
  // How often it has sent: Linux tells an edge of writing when what was sent is gone.
  std::atomic<std::uint32_t> sends{0};

  // An epoll call holds it while it waits; unlike other calls that must not keep the port taken after the last close.
  bool begin_watch();
  void end_watch();

  fast_socket* next = nullptr;  // in the pool, or among the dead

 private:
  void retire(bool later);
  void destroy();

  void wait_for_watchers();

  std::atomic<std::uint32_t> references_{0}, numbers_{0}, watchers_{0};
  std::atomic<std::uint32_t> nested_received_{0}, nested_sent_{0};
  fastudp_socket* handle_ = nullptr;
  std::uint64_t identity_ = 0;
  std::uint64_t kernels_identity_ = 0;
  int companion_ = -1;
  bool is_ipv4_ = false;

  static std::atomic<fast_socket*> dead_;
};

// The socket behind a descriptor, pinned, or null. Adopts a UDP socket that nobody has looked at yet.
fast_socket* pin_socket(int fd);

}  // namespace preload
