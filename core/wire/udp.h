#pragma once
// The User Datagram Protocol (RFC 768).

#include "wire/schema.h"

namespace fastudp {

struct udp {
  u<16> source_port = 0;
  u<16> destination_port = 0;
  u<16> length = 0;
  u<16> checksum = 0;  // 0: the sender computed none

  friend bool operator==(const udp&, const udp&) = default;
};

}  // namespace fastudp
