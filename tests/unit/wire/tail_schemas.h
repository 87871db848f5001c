#pragma once
// Headers whose members have no fixed place, as GRE (RFC 2784, 2890) and RTP (RFC 3550) have them. Not protocols that
// the library speaks: they show that the header language can say them.

#include "wire/schema.h"

namespace fastudp {

struct gre {
  u<1> has_checksum = 0;
  u<1> reserved_bit = 0;
  u<1> has_key = 0;
  u<1> has_sequence = 0;
  u<9> reserved = 0;
  u<3> version = 0;
  u<16> type = 0x0800;
  opt<u<16>, &gre::has_checksum> checksum = {};
  opt<u<16>, &gre::has_checksum> reserved_word = {};
  opt<u<32>, &gre::has_key> key = {};
  opt<u<32>, &gre::has_sequence> sequence = {};

  friend bool operator==(const gre&, const gre&) = default;
};

struct rtp {
  u<2> version = 2;
  u<1> has_padding = 0;
  u<1> has_extension = 0;
  u<4> csrc_count = 0;
  u<1> marker = 0;
  u<7> payload_type = 0;
  u<16> sequence = 0;
  u<32> timestamp = 0;
  u<32> ssrc = 0;
  var<bytes<&rtp::csrc_count, 4>> csrc = {};
  opt<u<16>, &rtp::has_extension> profile = {};
  opt<u<16>, &rtp::has_extension> extension_words = {};
  var<bytes<&rtp::extension_words, 4, 0, 16>> extension = {};
  padding<& rtp::has_padding> trailer = {};

  friend bool operator==(const rtp&, const rtp&) = default;
};

// Nothing but a trailer behind the fixed fields.
struct padded {
  u<8> has_padding = 0;
  padding<& padded::has_padding> trailer = {};

  friend bool operator==(const padded&, const padded&) = default;
};

}  // namespace fastudp
