#pragma once
// A UDP conversation as the local host sees it.

#include <cstdint>

#include "base/address.h"

namespace fastudp {

struct endpoint_address {
  ipv4_address address;
  std::uint16_t port = 0;

  friend bool operator==(const endpoint_address&, const endpoint_address&) = default;
};

struct flow {
  endpoint_address local, remote;

  friend bool operator==(const flow&, const flow&) = default;
};

}  // namespace fastudp
