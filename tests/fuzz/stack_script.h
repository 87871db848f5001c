#pragma once
// The input of the stack's fuzz target: a row of records, each an operation and, for some, bytes that belong to it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fastudp::script {

enum class operation : std::uint8_t { repaired_frame, repaired_too, repaired_as_well, raw_frame, time, send, take, act };

struct record {
  std::uint8_t code = 0;  // the operation in its low three bits, what it takes from the rest
  std::vector<std::uint8_t> bytes;

  operation what() const { return static_cast<operation>(code & 7); }
  unsigned detail() const { return code >> 3; }
  bool is_frame() const { return what() <= operation::raw_frame; }
};

inline constexpr std::size_t longest_frame = 1514, bytes_of_send = 3;

// Any bytes are a script; what is cut off at the end is shorter.
inline std::vector<record> parse(std::span<const std::uint8_t> input) {
  std::vector<record> out;
  const auto take = [&](std::size_t wanted) {
    const auto got = input.first(std::min(wanted, input.size()));
    input = input.subspan(got.size());
    return std::vector(got.begin(), got.end());
  };
  while (!input.empty()) {
    record& r = out.emplace_back(record{take(1)[0], {}});
    if (r.is_frame()) {
      auto size = take(2);
      size.resize(2);
      r.bytes = take(std::min<std::size_t>(size[0] | size[1] << 8, longest_frame));
    } else if (r.what() == operation::send) {
      r.bytes = take(bytes_of_send);
      r.bytes.resize(bytes_of_send);
    }
  }
  return out;
}

inline std::vector<std::uint8_t> serialise(std::span<const record> script) {
  std::vector<std::uint8_t> out;
  for (const record& r : script) {
    out.push_back(r.code);
    if (r.is_frame()) {
      out.push_back(static_cast<std::uint8_t>(r.bytes.size()));
      out.push_back(static_cast<std::uint8_t>(r.bytes.size() >> 8));
    }
    out.insert(out.end(), r.bytes.begin(), r.bytes.end());
  }
  return out;
}

}  // namespace fastudp::script
