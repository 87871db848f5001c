#pragma once
// The options that a sequence may get and set.

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "newer.h"
#include "random.h"

namespace differential {

enum class value_kind : std::uint8_t {
  flag,
  byte,
  small,
  number,
  buffer,
  pair,
  timeout,
  device,
  interface,
  mtu,
  family,
  group,
  source,
  group6,
  group_request,
  source_request,
  source_filter,
  group_filter,
  stamping,
  offset,
  segment,
  program,  // instructions of classic BPF; the call is given a sock_fprog
  bytes,
  short_bytes
};
enum class when : std::uint8_t { now, often, early, unseen, filling, groups, pieces, within, excused };

struct option {
  int level, name;
  const char* level_text;
  const char* text;
  value_kind kind = value_kind::flag;
  when use = when::now;
  bool is_kernels = true;  // it is no more than refused where the kernel has no part
};

inline constexpr option special[] = {
#define VALUE(level, name, kind, use) {level, name, #level, #name, value_kind::kind, when::use},
#define UNLISTED(level, name, kind, use)
#include "values.def"
#undef VALUE
#undef UNLISTED
};

// As values.def has it, or a flag.
constexpr option option_named(option plain) {
  for (const option& each : special) {
    if (each.level != plain.level || each.name != plain.name) continue;
    option out = each;
    out.is_kernels = plain.is_kernels;
    return out;
  }
  return plain;
}

// All that fastudp knows, and some that nobody does.
inline constexpr option options[] = {
#define OPTION(level, name, fate, words) \
  option_named({level, name, #level, #name, value_kind::flag, when::now, std::string_view(#fate) == "kernel"}),
#include "socket/options.def"
#undef OPTION
#define VALUE(level, name, kind, use)
#define UNLISTED(level, name, kind, use) {level, name, #level, #name, value_kind::kind, when::use},
#include "values.def"
#undef VALUE
#undef UNLISTED
};

const option* find_option(int level, int name);
std::vector<std::byte> value_for(const option& wanted, dice& random);

}  // namespace differential
