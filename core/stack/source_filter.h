#pragma once
// Whose datagrams to a group are listened to (RFC 3376 2): those of the listed senders, or those of all others.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.h"

namespace fastudp {

class source_list {
 public:
  static constexpr std::size_t capacity = 64;  // Linux's mld_max_msf

  bool contains(const ip_address& source) const;
  // False: no room for one more.
  bool add(const ip_address& source);
  void remove(const ip_address& source);
  void clear() { count_ = 0; }
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }
  std::span<const ip_address> all() const { return {sources_.data(), count_}; }
  bool has_same(const source_list& other) const;

 private:
  std::array<ip_address, capacity> sources_;
  std::uint8_t count_ = 0;
};

struct source_filter {
  bool excludes = false;  // what is listed, instead of what isn't
  source_list sources{};

  static source_filter of_everybody() { return {.excludes = true}; }
  bool is_of_nobody() const { return !excludes && sources.empty(); }
  bool allows(const ip_address& source) const { return sources.contains(source) != excludes; }
  bool is_same(const source_filter& other) const {
    return excludes == other.excludes && sources.has_same(other.sources);
  }
  // RFC 3376 3.2: listens to whom this or the other listens to; to more when they are too many to list.
  void widen(const source_filter& other);
};

// What is in `a` and not in `b`; and what is in both.
source_list difference(const source_list& a, const source_list& b);
source_list intersection(const source_list& a, const source_list& b);

}  // namespace fastudp
