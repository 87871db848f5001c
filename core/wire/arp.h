#pragma once
// The Address Resolution Protocol (RFC 826), for IPv4 on Ethernet.

#include "wire/ethernet.h"

namespace fastudp {

enum class arp_operation : std::uint16_t { request = 1, reply = 2 };

struct arp {
  u<16> hardware_type = 1;  // Ethernet
  as<ether_type, 16> protocol_type = ether_type::ipv4;
  u<8> hardware_size = 6;
  u<8> protocol_size = 4;
  as<arp_operation, 16> operation = arp_operation::request;
  mac_address sender_mac = {};
  ipv4_address sender_address = {};
  mac_address target_mac = {};
  ipv4_address target_address = {};

  friend bool operator==(const arp&, const arp&) = default;
};

}  // namespace fastudp
