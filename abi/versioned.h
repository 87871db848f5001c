#pragma once
// Structs that begin with their size: read and written as far as caller and library both know them.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/result.h"

namespace fastudp::abi {

// A copy of a caller's configuration; what it doesn't have is zero, and so the default.
template <typename T>
result<T> read_versioned(const T* from) {
  T out{};
  out.size = sizeof(T);
  if (from == nullptr) return out;
  if (from->size < sizeof from->size) return error{EINVAL};
  const auto* bytes = reinterpret_cast<const unsigned char*>(from);
  const std::size_t known = std::min(from->size, sizeof(T));
  if (std::any_of(bytes + known, bytes + from->size, [](unsigned char b) { return b != 0; })) return error{E2BIG};
  std::memcpy(&out, bytes, known);
  out.size = sizeof(T);
  return out;
}

// As much of `from` as the caller's struct has room for, `least` bytes at least. What it has beyond becomes zero.
template <typename T>
status write_versioned(const T& from, T* to, std::size_t least) {
  const std::size_t size = to->size;
  if (size < least) return error{EINVAL};
  auto* bytes = reinterpret_cast<unsigned char*>(to);
  std::memset(bytes, 0, size);
  std::memcpy(bytes, &from, std::min(size, sizeof(T)));
  to->size = size;
  return {};
}

}  // namespace fastudp::abi
