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

#define ICMP_HEADER 8
#define ICMPV6_INFORMATIONAL 128

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

static __always_inline int reflect_ipv6(struct ipv6hdr* ip, void* end) {
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
  if (frame->h_proto == bpf_htons(ETH_P_IPV6)) return reflect_ipv6((void*)(frame + 1), end);
  return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
