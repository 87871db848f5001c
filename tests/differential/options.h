#pragma once
// The options that a sequence may get and set.

#include <netinet/in.h>

#include <linux/in6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cstdint>
#include <vector>

#include "random.h"

// Newer than the headers of the oldest system that this is built on.
#ifndef SO_RESERVE_MEM
#define SO_RESERVE_MEM 73
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#define SO_RCVPRIORITY 82
#define SO_PASSRIGHTS 83
#define SO_INQ 84
#define IP_LOCAL_PORT_RANGE 51
#define IP_PROTOCOL 52
#define SO_UNKNOWN 1000
#define IP_UNKNOWN 1000
#define IPV6_UNKNOWN 1000
#define UDP_UNKNOWN 1000

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
