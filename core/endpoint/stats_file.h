#pragma once
// Counters in a file that several processes share: each has a block of its own, and whoever asks adds them up. Nothing
// is lost when a process is killed.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/counters.h"
#include "base/memory.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp {

class stats_file {
 public:
  stats_file() = default;
  // Null: memory that no other process sees.
  static result<stats_file> open(const char* path, reason& why);

  // The block of this process; a forked child takes one of its own.
  counters& mine() const { return *mine_; }
  status take_another();
  // What the first that says it says stays.
  void explain(const char* text);

  // For whoever adds up. EINVAL: not such a file.
  static result<stats_file> read(const char* path);
  std::size_t processes() const;
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (std::size_t i = 0; i < processes(); ++i) visit(blocks()[i].count);
  }
  const char* explanation() const;

 private:
  struct block {
    counters count;
  };
  struct header {
    std::uint64_t kind;  // what this file is, and of which layout
    std::atomic<std::uint32_t> used;
    std::atomic<std::uint32_t> explained;
    char explanation[512];
  };
  static constexpr std::size_t most_processes = 4096;
  static constexpr std::size_t size = sizeof(header) + most_processes * sizeof(block);
  static constexpr std::uint64_t layout = 0x6661737475647000 + sizeof(block) * 0x10000 + 1;

  header& head() const { return *reinterpret_cast<header*>(memory_.data()); }
  block* blocks() const { return reinterpret_cast<block*>(memory_.data() + sizeof(header)); }

  shared_memory memory_;
  counters* mine_ = nullptr;
};

}  // namespace fastudp
