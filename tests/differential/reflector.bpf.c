/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */

/* The host on the other side of the sequences' interface: whatever is sent to any address comes back from there, to the
 * same port. Exchanging two addresses leaves every checksum as it is. An ICMP error comes back as one about what came
 * back. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ICMP_HEADER 8
#define ICMPV6_INFORMATIONAL 128
#define NEIGHBOUR_SOLICITATION 135
#define NEIGHBOUR_ADVERTISEMENT 136
#define SOLICITED_AND_OVERRIDES 0x60000000
#define TARGET_LINK_ADDRESS 2

/* To one host alone. */
static __always_inline int is_unicast(__be32 address) {
  const __u32 number = bpf_ntohl(address);
  return number < 0xe0000000 && (number & 0xff) != 0xff;
}

static __always_inline int exchange_ipv4(struct iphdr* ip, void* end) {
  if ((void*)(ip + 1) > end || ip->ihl < 5 || !is_unicast(ip->daddr)) return 0;
  const __be32 source = ip->saddr;
  ip->saddr = ip->daddr;
  ip->daddr = source;
  return 1;
}

static __always_inline int exchange_ipv6(struct ipv6hdr* ip, void* end) {
  if ((void*)(ip + 1) > end || ip->daddr.s6_addr[0] == 0xff) return 0;
  const struct in6_addr source = ip->saddr;
  ip->saddr = ip->daddr;
  ip->daddr = source;
  return 1;
}

static __always_inline int reflect_ipv4(struct iphdr* ip, void* end) {
  if (!exchange_ipv4(ip, end)) return XDP_DROP;
  __u8* icmp = (void*)(ip + 1);
  if (ip->protocol != IPPROTO_ICMP || ip->ihl != 5 || (void*)(icmp + 1) > end) return XDP_TX;
  const int is_error = *icmp == 3 || *icmp == 11 || *icmp == 12;
  return is_error && !exchange_ipv4((void*)(icmp + ICMP_HEADER), end) ? XDP_DROP : XDP_TX;
}

struct arp_ipv4 {
  __be16 hardware, protocol;
  __u8 hardware_length, protocol_length;
  __be16 operation;
  __u8 sender[ETH_ALEN];
  __be32 sender_ip;
  __u8 target[ETH_ALEN];
  __be32 target_ip;
} __attribute__((packed));

/* Everybody whom somebody asks for is here; who asks for himself wants to know that he is the only one. */
static __always_inline int answer_arp(struct arp_ipv4* arp, void* end, const __u8* here) {
  if ((void*)(arp + 1) > end || arp->operation != bpf_htons(ARP_REQUEST)) return XDP_DROP;
  if (arp->sender_ip == 0 || arp->sender_ip == arp->target_ip) return XDP_DROP;
  const __be32 asked = arp->target_ip;
  arp->operation = bpf_htons(ARP_REPLY);
  __builtin_memcpy(arp->target, arp->sender, ETH_ALEN);
  __builtin_memcpy(arp->sender, here, ETH_ALEN);
  arp->target_ip = arp->sender_ip;
  arp->sender_ip = asked;
  return XDP_TX;
}

struct neighbour_message {
  __u8 type, code;
  __sum16 sum;
  __be32 flags;
  struct in6_addr target;
  __u8 option, eights, link[ETH_ALEN];
};

static __always_inline __sum16 sum_of(struct ipv6hdr* ip, struct neighbour_message* message) {
  const __be32 pseudo[] = {bpf_htonl(sizeof *message), bpf_htonl(IPPROTO_ICMPV6)};
  __u64 sum = bpf_csum_diff(0, 0, (__be32*)&ip->saddr, 2 * sizeof ip->saddr, 0);
  sum = bpf_csum_diff(0, 0, (__be32*)pseudo, sizeof pseudo, sum);
  sum = bpf_csum_diff(0, 0, (__be32*)message, sizeof *message, sum);
  sum = (sum & 0xffff) + (sum >> 16);
  return ~((sum & 0xffff) + (sum >> 16));
}

/* As answer_arp. */
static __always_inline int answer_solicitation(struct ipv6hdr* ip, void* end, const __u8* here) {
  struct neighbour_message* message = (void*)(ip + 1);
  if ((void*)(message + 1) > end || ip->saddr.s6_addr[0] == 0) return XDP_DROP;
  ip->daddr = ip->saddr;
  ip->saddr = message->target;
  message->type = NEIGHBOUR_ADVERTISEMENT;
  message->sum = 0;
  message->flags = bpf_htonl(SOLICITED_AND_OVERRIDES);
  message->option = TARGET_LINK_ADDRESS;
  __builtin_memcpy(message->link, here, ETH_ALEN);
  message->sum = sum_of(ip, message);
  return XDP_TX;
}

static __always_inline int reflect_ipv6(struct ipv6hdr* ip, void* end, const __u8* here) {
  const __u8* type = (void*)(ip + 1);
  if ((void*)(type + 1) > end) return XDP_DROP;
  if (ip->nexthdr == IPPROTO_ICMPV6 && *type == NEIGHBOUR_SOLICITATION) return answer_solicitation(ip, end, here);
  if (!exchange_ipv6(ip, end)) return XDP_DROP;
  __u8* icmp = (void*)(ip + 1);
  if (ip->nexthdr != IPPROTO_ICMPV6 || (void*)(icmp + 1) > end) return XDP_TX;
  const int is_error = *icmp < ICMPV6_INFORMATIONAL;
  return is_error && !exchange_ipv6((void*)(icmp + ICMP_HEADER), end) ? XDP_DROP : XDP_TX;
}

SEC("xdp")
int reflect(struct xdp_md* context) {
  void* end = (void*)(long)context->data_end;
  struct ethhdr* frame = (void*)(long)context->data;
  if ((void*)(frame + 1) > end) return XDP_DROP;
  const __u8 here[ETH_ALEN] = {2, 0, 0, 0, 0, 2};
  __builtin_memcpy(frame->h_dest, frame->h_source, ETH_ALEN);
  __builtin_memcpy(frame->h_source, here, ETH_ALEN);
  if (frame->h_proto == bpf_htons(ETH_P_IP)) return reflect_ipv4((void*)(frame + 1), end);
  if (frame->h_proto == bpf_htons(ETH_P_IPV6)) return reflect_ipv6((void*)(frame + 1), end, here);
  if (frame->h_proto == bpf_htons(ETH_P_ARP)) return answer_arp((void*)(frame + 1), end, here);
  return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
