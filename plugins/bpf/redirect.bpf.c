/* What is ours of an interface's traffic goes to a link's AF_XDP sockets, and everything else to the kernel as ever: what is
 * claimed by their process, or on an interface with an address of our own what comes to our MAC address. What other
 * processes of a family claim their taps take on its way to the kernel.
 * SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "claims.bpf.h"

const volatile struct redirect_config config;

/* The link's socket for each queue of the device. */
struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, FASTUDP_MOST_QUEUES);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

static __always_inline int is_ours(const struct ethhdr* eth) {
  int differs = 0;
  for (int i = 0; i < ETH_ALEN; ++i) differs |= eth->h_dest[i] ^ config.mac[i];
  return !differs;
}

static __always_inline const struct udphdr* read_ipv4(const struct iphdr* ip, const void* end, struct claim_key* out) {
  if ((const void*)(ip + 1) > end || ip->version != 4 || ip->ihl != 5) return 0;
  if (ip->protocol != IPPROTO_UDP || ip->frag_off & bpf_htons(0x3fff)) return 0;
  map_ipv4(out->local, ip->daddr);
  map_ipv4(out->remote, ip->saddr);
  return (const struct udphdr*)(ip + 1);
}

static __always_inline const struct udphdr* read_ipv6(const struct ipv6hdr* ip, const void* end, struct claim_key* out) {
  if ((const void*)(ip + 1) > end || ip->version != 6 || ip->nexthdr != IPPROTO_UDP) return 0;
  __builtin_memcpy(out->local, &ip->daddr, sizeof out->local);
  __builtin_memcpy(out->remote, &ip->saddr, sizeof out->remote);
  return (const struct udphdr*)(ip + 1);
}

/* A datagram that comes neither in fragments nor with options or extension headers, which are the kernel's. */
static __always_inline int is_claimed_by_owner(const struct ethhdr* eth, const void* end) {
  struct claim_key key = {};
  const struct udphdr* udp = 0;
  if (eth->h_proto == bpf_htons(ETH_P_IP)) udp = read_ipv4((const void*)(eth + 1), end, &key);
  if (eth->h_proto == bpf_htons(ETH_P_IPV6)) udp = read_ipv6((const void*)(eth + 1), end, &key);
  if (!udp || (const void*)(udp + 1) > end) return 0;
  key.local_port = udp->dest;
  key.remote_port = udp->source;
  const struct claim_members* claim = claim_on(&key);
  return claim && member_for(&key, claim) == FASTUDP_REDIRECTED_MEMBER;
}

/* A frame longer than the link's MTU, such as a super-packet, is the kernel's to cut up. */
SEC("xdp")
int fastudp_xdp(struct xdp_md* ctx) {
  const void* end = (const void*)(long)ctx->data_end;
  const struct ethhdr* eth = (const void*)(long)ctx->data;
  if ((const void*)(eth + 1) > end || end - (const void*)eth > config.longest || !is_ours(eth)) return XDP_PASS;
  if (!config.takes_all && !is_claimed_by_owner(eth, end)) return XDP_PASS;
  return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS); /* which it is where a queue has no socket */
}

char _license[] SEC("license") = "Dual BSD/GPL";
