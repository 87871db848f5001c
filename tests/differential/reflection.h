/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#pragma once

/* What comes back from the host at the other end: whatever is sent to any address comes back from there, to the same
 * port. Exchanging two addresses leaves every checksum as it is. An ICMP error comes back as one about what came back.
 * For XDP (reflector.bpf.c), whose verifier wants each access after a comparison with `end`, and for programs. */

typedef unsigned char octet;

#define LINK_ADDRESS 6
#define ETHERNET_HEADER 14
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define ICMP_HEADER 8
#define ARP_MESSAGE 28
#define NEIGHBOUR_MESSAGE 32 /* with the option that has the link-layer address */

#define PROTOCOL_ICMP 1
#define PROTOCOL_ICMPV6 58
#define ICMPV6_INFORMATIONAL 128
#define NEIGHBOUR_SOLICITATION 135
#define NEIGHBOUR_ADVERTISEMENT 136
#define SOLICITED_AND_OVERRIDES 0x60
#define TARGET_LINK_ADDRESS 2

#define reflection_part static inline __attribute__((always_inline))

reflection_part void exchange(octet* one, octet* other, unsigned size) {
  for (unsigned i = 0; i < size; ++i) {
    const octet before = one[i];
    one[i] = other[i];
    other[i] = before;
  }
}

reflection_part int exchange_ipv4(octet* ip, const octet* end) {
  octet *source = ip + 12, *destination = ip + 16;
  if (ip + IPV4_HEADER > end || (ip[0] & 0x0f) < 5) return 0;
  const int is_unicast = destination[0] < 224 && destination[3] != 255;
  if (!is_unicast) return 0;
  exchange(source, destination, 4);
  return 1;
}

reflection_part int exchange_ipv6(octet* ip, const octet* end) {
  octet *source = ip + 8, *destination = ip + 24;
  if (ip + IPV6_HEADER > end || destination[0] == 0xff) return 0;
  exchange(source, destination, 16);
  return 1;
}

reflection_part int reflect_ipv4(octet* ip, const octet* end) {
  if (!exchange_ipv4(ip, end)) return 0;
  octet* icmp = ip + IPV4_HEADER;
  if (ip[9] != PROTOCOL_ICMP || (ip[0] & 0x0f) != 5 || icmp + 1 > end) return 1;
  const int is_error = icmp[0] == 3 || icmp[0] == 11 || icmp[0] == 12;
  return !is_error || exchange_ipv4(icmp + ICMP_HEADER, end);
}

/* Everybody whom somebody asks for is here; who asks for himself wants to know that he is the only one. */
reflection_part int answer_arp(octet* arp, const octet* end, const octet* here) {
  octet *sender = arp + 8, *target = arp + 18;
  if (arp + ARP_MESSAGE > end || arp[6] != 0 || arp[7] != 1) return 0;
  octet *sender_ip = sender + LINK_ADDRESS, *target_ip = target + LINK_ADDRESS;
  const int has_no_address = !sender_ip[0] && !sender_ip[1] && !sender_ip[2] && !sender_ip[3];
  if (has_no_address || __builtin_memcmp(sender_ip, target_ip, 4) == 0) return 0;
  arp[7] = 2;
  __builtin_memcpy(target, sender, LINK_ADDRESS);
  __builtin_memcpy(sender, here, LINK_ADDRESS);
  exchange(sender_ip, target_ip, 4);
  return 1;
}

/* Of a neighbour message whose own checksum is 0 (RFC 4443 2.3). The addresses are next to it. */
reflection_part unsigned sum_of(const octet* ip) {
  unsigned sum = NEIGHBOUR_MESSAGE + PROTOCOL_ICMPV6;
  for (unsigned i = 8; i < IPV6_HEADER + NEIGHBOUR_MESSAGE; i += 2) sum += (unsigned)ip[i] << 8 | ip[i + 1];
  sum = (sum & 0xffff) + (sum >> 16);
  return ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
}

/* As answer_arp. */
reflection_part int answer_solicitation(octet* ip, const octet* end, const octet* here) {
  octet *source = ip + 8, *destination = ip + 24, *message = ip + IPV6_HEADER;
  if (message + NEIGHBOUR_MESSAGE > end || source[0] == 0) return 0;
  octet *target = message + 8, *option = message + 24;
  __builtin_memcpy(destination, source, 16);
  __builtin_memcpy(source, target, 16);
  message[0] = NEIGHBOUR_ADVERTISEMENT;
  message[2] = message[3] = 0;
  message[4] = SOLICITED_AND_OVERRIDES;
  option[0] = TARGET_LINK_ADDRESS;
  __builtin_memcpy(option + 2, here, LINK_ADDRESS);
  const unsigned sum = sum_of(ip);
  message[2] = (octet)(sum >> 8);
  message[3] = (octet)sum;
  return 1;
}

reflection_part int reflect_ipv6(octet* ip, const octet* end, const octet* here) {
  octet* icmp = ip + IPV6_HEADER;
  if (icmp + 1 > end) return 0;
  if (ip[6] == PROTOCOL_ICMPV6 && icmp[0] == NEIGHBOUR_SOLICITATION) return answer_solicitation(ip, end, here);
  if (!exchange_ipv6(ip, end)) return 0;
  const int is_error = ip[6] == PROTOCOL_ICMPV6 && icmp[0] < ICMPV6_INFORMATIONAL;
  return !is_error || exchange_ipv6(icmp + ICMP_HEADER, end);
}

/* Makes the frame in [data, end) the one that comes back; 0 if none does. */
reflection_part int reflect_frame(octet* data, const octet* end) {
  octet *here = data, *there = data + LINK_ADDRESS, *inner = data + ETHERNET_HEADER;
  if (inner > end) return 0;
  const octet own[LINK_ADDRESS] = {2, 0, 0, 0, 0, 2};
  __builtin_memcpy(here, there, LINK_ADDRESS);
  __builtin_memcpy(there, own, LINK_ADDRESS);
  if (data[12] == 0x08 && data[13] == 0x00) return reflect_ipv4(inner, end);
  if (data[12] == 0x86 && data[13] == 0xdd) return reflect_ipv6(inner, end, own);
  if (data[12] == 0x08 && data[13] == 0x06) return answer_arp(inner, end, own);
  return 0;
}
