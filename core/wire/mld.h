#pragma once
// Multicast Listener Discovery, which is ICMPv6: versions 1 (RFC 2710) and 2 (RFC 3810).

#include "wire/group_membership.h"
#include "wire/icmpv6.h"

namespace fastudp {

// Version 1, and the beginning of a query of version 2.
struct mld {
  as<icmpv6_type, 8> type = icmpv6_type::listener_query;
  u<8> code = 0;
  u<16> checksum = 0;
  u<16> max_response = 0;  // milliseconds; in a query of version 2 by from_exponent_code
  u<16> reserved = 0;
  ipv6_address group = {};  // any: of every group

  friend bool operator==(const mld&, const mld&) = default;
};

// The payload is as many addresses as `sources` says.
struct mldv2_query {
  as<icmpv6_type, 8> type = icmpv6_type::listener_query;
  u<8> code = 0;
  u<16> checksum = 0;
  u<16> max_response_code = 0;  // from_exponent_code, in milliseconds
  u<16> reserved = 0;
  ipv6_address group = {};
  u<4> reserved_bits = 0;
  u<1> suppress = 0;
  u<3> robustness = 0;
  u<8> interval_code = 0;  // from_exponent_code, in s
  u<16> sources = 0;

  friend bool operator==(const mldv2_query&, const mldv2_query&) = default;
};

// The payload is as many records as `records` says.
struct mldv2_report {
  as<icmpv6_type, 8> type = icmpv6_type::listener_report_v2;
  u<8> reserved = 0;
  u<16> checksum = 0;
  u<16> reserved_word = 0;
  u<16> records = 0;

  friend bool operator==(const mldv2_report&, const mldv2_report&) = default;
};

// Behind it as many addresses as `sources` says, then auxiliary data, which is to be ignored.
struct mldv2_record {
  as<group_record_type, 8> type = group_record_type::mode_is_include;
  u<8> auxiliary_words = 0;
  u<16> sources = 0;
  ipv6_address group = {};

  friend bool operator==(const mldv2_record&, const mldv2_record&) = default;
};

}  // namespace fastudp
