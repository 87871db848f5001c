#pragma once
// The Internet Group Management Protocol: versions 1 (RFC 1112), 2 (RFC 2236) and 3 (RFC 3376).

#include "wire/group_membership.h"
#include "wire/schema.h"

namespace fastudp {

enum class igmp_type : std::uint8_t {
  query = 0x11,
  report_v1 = 0x12,
  report_v2 = 0x16,
  leave = 0x17,
  report_v3 = 0x22,
};

// Versions 1 and 2, and the beginning of a query of version 3.
struct igmp {
  as<igmp_type, 8> type = igmp_type::query;
  u<8> max_response = 0;  // in 1/10 s; 0 from version 1
  u<16> checksum = 0;
  ipv4_address group = {};  // any: of every group

  friend bool operator==(const igmp&, const igmp&) = default;
};

// The payload is as many addresses as `sources` says.
struct igmpv3_query {
  as<igmp_type, 8> type = igmp_type::query;
  u<8> max_response_code = 0;  // from_exponent_code, in 1/10 s
  u<16> checksum = 0;
  ipv4_address group = {};
  u<4> reserved = 0;
  u<1> suppress = 0;
  u<3> robustness = 0;
  u<8> interval_code = 0;  // from_exponent_code, in s
  u<16> sources = 0;

  friend bool operator==(const igmpv3_query&, const igmpv3_query&) = default;
};

// The payload is as many records as `records` says.
struct igmpv3_report {
  as<igmp_type, 8> type = igmp_type::report_v3;
  u<8> reserved = 0;
  u<16> checksum = 0;
  u<16> reserved_word = 0;
  u<16> records = 0;

  friend bool operator==(const igmpv3_report&, const igmpv3_report&) = default;
};

// Behind it as many addresses as `sources` says, then auxiliary data, which is to be ignored.
struct igmpv3_record {
  as<group_record_type, 8> type = group_record_type::mode_is_include;
  u<8> auxiliary_words = 0;
  u<16> sources = 0;
  ipv4_address group = {};

  friend bool operator==(const igmpv3_record&, const igmpv3_record&) = default;
};

}  // namespace fastudp
