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
  std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Why a packet was dropped. The rows, with their texts, are in drops.def.
enum class drop : std::uint16_t {
#define FASTUDP_DROP(name, text) name,
#include "base/drops.def"
#undef FASTUDP_DROP
  count
};

inline constexpr std::size_t drop_reasons = static_cast<std::size_t>(drop::count);

struct counters {
  counter rx_frames, rx_bytes, tx_frames, tx_bytes;
  counter rx_datagrams, tx_datagrams;  // as programs see them
  counter address_conflicts;           // another host used an address of ours (RFC 5227)
  counter drops[drop_reasons];

  void dropped(drop why, std::uint64_t n = 1) { drops[static_cast<std::size_t>(why)].add(n); }
};

const char* drop_name(std::size_t reason);
const char* drop_text(std::size_t reason);

}  // namespace fastudp
