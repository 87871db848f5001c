/* What is claimed of an interface's traffic is let through to our tap and kept from the kernel. One predicate decides both.
 * SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

/* The verdicts at TCX, which linux/bpf.h has from 6.6 on. */
#define TCX_NEXT -1
#define TCX_DROP 2

#define EVERYTHING 0x7fffffff
#define ICMP_UNREACHABLE 3
#define ICMP_EXCEEDED 11
#define ICMP_PARAMETER 12

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, FASTUDP_MOST_CLAIMS);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct claim_key);
  __type(value, __u32);
} claims SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, FASTUDP_MOST_COUNTS);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, __u64); /* a socket's cookie */
  __type(value, __u32); /* where it is counted */
} watched SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, FASTUDP_MOST_COUNTS);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

static __always_inline void map_ipv4(__u8* to, __be32 address) {
  to[10] = to[11] = 0xff;
  __builtin_memcpy(to + 12, &address, sizeof address);
}

/* An untagged IPv4 packet that came for this host alone; its header is stored. */
static __always_inline int is_for_host(struct __sk_buff* skb, struct iphdr* ip) {
  if (skb->pkt_type != PACKET_HOST || skb->vlan_present || skb->protocol != bpf_htons(ETH_P_IP)) return 0;
  return bpf_skb_load_bytes(skb, ETH_HLEN, ip, sizeof *ip) == 0 && ip->version == 4;
}

/* The claim on a datagram, if there is one. Those with options or in fragments are the kernel's. */
static __always_inline __u32* claim_on(struct __sk_buff* skb) {
  struct iphdr ip;
  struct udphdr udp;
  struct claim_key key = {};
  if (!is_for_host(skb, &ip) || ip.ihl != 5 || ip.protocol != IPPROTO_UDP) return 0;
  if (ip.frag_off & bpf_htons(0x3fff)) return 0;
  if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof ip, &udp, sizeof udp) != 0) return 0;
  map_ipv4(key.local, ip.daddr);
  key.local_port = udp.dest;
  __u32* found = bpf_map_lookup_elem(&claims, &key);
  if (found) return found;
  map_ipv4(key.remote, ip.saddr);
  key.remote_port = udp.source;
  return bpf_map_lookup_elem(&claims, &key);
}

/* At tc ingress. */
SEC("tc")
int steer(struct __sk_buff* skb) { return claim_on(skb) ? TCX_DROP : TCX_NEXT; }

static __always_inline int is_icmp_error(struct __sk_buff* skb) {
  struct iphdr ip;
  __u8 type;
  if (!is_for_host(skb, &ip) || ip.protocol != IPPROTO_ICMP || ip.frag_off & bpf_htons(0x1fff)) return 0;
  if (bpf_skb_load_bytes(skb, ETH_HLEN + ip.ihl * 4, &type, sizeof type) != 0) return 0;
  return type == ICMP_UNREACHABLE || type == ICMP_EXCEEDED || type == ICMP_PARAMETER;
}

/* On the tap, which sees a frame before tc does. */
SEC("socket")
int tap(struct __sk_buff* skb) {
  __u32* claim = claim_on(skb);
  if (claim) return *claim & CLAIM_TAPPED ? EVERYTHING : 0;
  return is_icmp_error(skb) ? EVERYTHING : 0;
}

/* On a companion: lets everything through, and counts it. */
SEC("socket")
int count(struct __sk_buff* skb) {
  __u64 cookie = bpf_get_socket_cookie(skb);
  __u32* where = bpf_map_lookup_elem(&watched, &cookie);
  __u64* number = where ? bpf_map_lookup_elem(&counts, where) : 0;
  if (number) __sync_fetch_and_add(number, 1);
  return EVERYTHING;
}

char _license[] SEC("license") = "Dual BSD/GPL";
