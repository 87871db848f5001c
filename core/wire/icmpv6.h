#pragma once
// ICMP for IPv6 (RFC 4443) and, as messages of it, neighbour discovery (RFC 4861).

#include "wire/ipv6.h"
#include "wire/schema.h"

namespace fastudp {

enum class icmpv6_type : std::uint8_t {
  unreachable = 1,
  packet_too_big = 2,
  time_exceeded = 3,
  parameter_problem = 4,
  echo_request = 128,
  echo_reply = 129,
  listener_query = 130,
  listener_report = 131,
  listener_done = 132,
  router_solicitation = 133,
  router_advertisement = 134,
  neighbour_solicitation = 135,
  neighbour_advertisement = 136,
  redirect = 137,
  listener_report_v2 = 143,
};

// The codes of `unreachable` (RFC 4443 3.1).
enum class icmpv6_unreachable_code : std::uint8_t {
  no_route = 0,
  prohibited = 1,
  beyond_scope = 2,
  address = 3,
  port = 4,
  policy = 5,
  rejected = 6,
};

// The codes of `parameter_problem`: RFC 4443 3.4
// and RFC 7112 5.
enum class icmpv6_problem_code : std::uint8_t { header_field = 0, next_header = 1, option = 2, cut_headers = 3 };

// `rest` is the MTU of packet_too_big, the pointer of parameter_problem, or identifier and sequence of an echo.
struct icmpv6 {
  as<icmpv6_type, 8> type = {};
  u<8> code = 0;
  u<16> checksum = 0;
  u<32> rest = 0;

  friend bool operator==(const icmpv6&, const icmpv6&) = default;
};

struct router_solicitation {
  as<icmpv6_type, 8> type = icmpv6_type::router_solicitation;
  u<8> code = 0;
  u<16> checksum = 0;
  u<32> reserved = 0;

  friend bool operator==(const router_solicitation&, const router_solicitation&) = default;
};

struct router_advertisement {
  as<icmpv6_type, 8> type = icmpv6_type::router_advertisement;
  u<8> code = 0;
  u<16> checksum = 0;
  u<8> hop_limit = 0;  // 0 in this and the times: the router doesn't say
  u<1> managed = 0;
  u<1> other = 0;
  u<6> reserved = 0;
  u<16> lifetime = 0;        // seconds; 0: not a default router
  u<32> reachable_time = 0;  // milliseconds
  u<32> retransmit_timer = 0;

  friend bool operator==(const router_advertisement&, const router_advertisement&) = default;
};

struct neighbour_solicitation {
  as<icmpv6_type, 8> type = icmpv6_type::neighbour_solicitation;
  u<8> code = 0;
  u<16> checksum = 0;
  u<32> reserved = 0;
  ipv6_address target = {};

  friend bool operator==(const neighbour_solicitation&, const neighbour_solicitation&) = default;
};

struct neighbour_advertisement {
  as<icmpv6_type, 8> type = icmpv6_type::neighbour_advertisement;
  u<8> code = 0;
  u<16> checksum = 0;
  u<1> router = 0;
  u<1> solicited = 0;
  u<1> override_flag = 0;
  u<29> reserved = 0;
  ipv6_address target = {};

  friend bool operator==(const neighbour_advertisement&, const neighbour_advertisement&) = default;
};

// Options of neighbour discovery (RFC 4861 4.6): the length counts units of eight bytes, this header's two included.
enum class nd_option_type : std::uint8_t {
  source_link_layer = 1,
  target_link_layer = 2,
  prefix_information = 3,
  mtu = 5,
};

// What every option begins with.
struct nd_option {
  as<nd_option_type, 8> type = {};
  u<8> length = 1;

  friend bool operator==(const nd_option&, const nd_option&) = default;
};

struct nd_prefix_option {
  as<nd_option_type, 8> type = nd_option_type::prefix_information;
  u<8> length = 4;
  u<8> prefix_length = 0;
  u<1> on_link = 0;
  u<1> autonomous = 0;
  u<6> reserved = 0;
  u<32> valid_lifetime = 0;  // seconds; all ones: for ever
  u<32> preferred_lifetime = 0;
  u<32> reserved_word = 0;
  ipv6_address prefix = {};

  friend bool operator==(const nd_prefix_option&, const nd_prefix_option&) = default;
};

struct nd_mtu_option {
  as<nd_option_type, 8> type = nd_option_type::mtu;
  u<8> length = 1;
  u<16> reserved = 0;
  u<32> mtu = 0;

  friend bool operator==(const nd_mtu_option&, const nd_mtu_option&) = default;
};

struct nd_link_layer_option {
  as<nd_option_type, 8> type = {};
  u<8> length = 1;
  mac_address mac = {};

  friend bool operator==(const nd_link_layer_option&, const nd_link_layer_option&) = default;
};

}  // namespace fastudp
