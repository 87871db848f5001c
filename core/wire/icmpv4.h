#pragma once
// The Internet Control Message Protocol (RFC 792): every message as icmpv4, and the layouts of the types that we speak.

#include "wire/schema.h"

namespace fastudp {

enum class icmpv4_type : std::uint8_t {
  echo_reply = 0,
  unreachable = 3,
  source_quench = 4,
  redirect = 5,
  echo_request = 8,
  time_exceeded = 11,
  parameter_problem = 12,
};

// The code field has a meaning for each type; these are the codes of `unreachable` (RFC 792, RFC 1122 3.2.2.1, RFC
// 1812).
enum class icmpv4_unreachable_code : std::uint8_t {
  network = 0,
  host = 1,
  protocol = 2,
  port = 3,
  fragmentation_needed = 4,
  source_route_failed = 5,
  network_unknown = 6,
  host_unknown = 7,
  source_isolated = 8,
  network_prohibited = 9,
  host_prohibited = 10,
  network_for_service = 11,
  host_for_service = 12,
  communication_prohibited = 13,
  precedence_violation = 14,
  precedence_cutoff = 15,
};

struct icmpv4 {
  as<icmpv4_type, 8> type = {};
  u<8> code = 0;
  u<16> checksum = 0;
  u<32> rest = 0;

  friend bool operator==(const icmpv4&, const icmpv4&) = default;
};

struct icmpv4_echo {
  as<icmpv4_type, 8> type = icmpv4_type::echo_request;
  u<8> code = 0;
  u<16> checksum = 0;
  u<16> identifier = 0;
  u<16> sequence = 0;

  friend bool operator==(const icmpv4_echo&, const icmpv4_echo&) = default;
};

// The payload quotes the packet that could not be delivered.
struct icmpv4_unreachable {
  as<icmpv4_type, 8> type = icmpv4_type::unreachable;
  as<icmpv4_unreachable_code, 8> code = {};
  u<16> checksum = 0;
  u<16> unused = 0;
  u<16> next_hop_mtu = 0;  // RFC 1191, with fragmentation_needed

  friend bool operator==(const icmpv4_unreachable&, const icmpv4_unreachable&) = default;
};

}  // namespace fastudp
