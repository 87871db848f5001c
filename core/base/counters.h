#pragma once
// What the data path counts. Counters live in shared memory, have one writer at a time and any number of readers.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace fastudp {

// A relaxed counter: adding is a plain load, add and store, since its writer is serialised by the stack's owner.
class counter {
 public:
  void add(std::uint64_t n = 1) { value_.store(get() + n, std::memory_order_relaxed); }
  // What was counted turned out to be somebody else's to count.
  void take_back(std::uint64_t n) { value_.store(get() - n, std::memory_order_relaxed); }
  // For what several threads count at once, each of them on its way to the kernel.
  void add_shared(std::uint64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Why a packet was dropped. The rows, with their layers and texts, are in drops.def.
enum class drop : std::uint16_t {
#define FASTUDP_DROP(name, layer, text) name,
#include "base/drops.def"
#undef FASTUDP_DROP
  count
};

inline constexpr std::size_t drop_reasons = static_cast<std::size_t>(drop::count);

// Why the kernel carries a datagram or a socket instead of us. The rows, with their texts, are in kernel_reasons.def.
enum class kernel_reason : std::uint16_t {
#define FASTUDP_KERNEL_REASON(name, text) name,
#include "base/kernel_reasons.def"
#undef FASTUDP_KERNEL_REASON
  count
};

inline constexpr std::size_t kernel_reasons = static_cast<std::size_t>(kernel_reason::count);

struct counters {
  counter rx_frames, rx_bytes, tx_frames, tx_bytes;
  counter rx_datagrams, tx_datagrams;    // of the fast path
  counter rx_kernel, tx_kernel;          // of sockets of ours, but by the kernel
  counter sockets_fast, sockets_kernel;  // ever opened; one that is handed over moves
  counter address_conflicts;             // another host used an address of ours (RFC 5227)
  counter drops[drop_reasons];
  counter kernel_by[kernel_reasons];

  void dropped(drop why, std::uint64_t n = 1) { drops[static_cast<std::size_t>(why)].add(n); }
  void by_kernel(kernel_reason why, std::uint64_t n = 1) { kernel_by[static_cast<std::size_t>(why)].add_shared(n); }
};

const char* drop_name(std::size_t reason);
const char* drop_layer(std::size_t reason);
const char* drop_text(std::size_t reason);
const char* kernel_reason_name(std::size_t reason);
const char* kernel_reason_text(std::size_t reason);

}  // namespace fastudp
