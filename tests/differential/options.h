#pragma once
// The options that a sequence may get and set.

#include <netinet/in.h>

#include <linux/in6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cstdint>
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
  bytes,
  short_bytes
};
enum class when : std::uint8_t { now, often, early, later, unseen, filling, groups };

struct option {
  int level, name;
  const char* level_text;
  const char* text;
  value_kind kind;
  when use;
};

inline constexpr option options[] = {
#define DIFFERENTIAL_OPTION(level, name, kind, use) {level, name, #level, #name, value_kind::kind, when::use},
#include "options.def"
#undef DIFFERENTIAL_OPTION
};

const option* find_option(int level, int name);
std::vector<std::byte> value_for(const option& wanted, dice& random);

}  // namespace differential
