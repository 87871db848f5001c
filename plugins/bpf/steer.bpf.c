/* What is claimed of an interface's traffic is let through to our tap and kept from the kernel. One predicate decides both.
 * SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
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
#define ICMPV6_INFORMATIONAL 128

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

/* Untagged, and for this host alone. */
static __always_inline int is_for_host(struct __sk_buff* skb) { return skb->pkt_type == PACKET_HOST && !skb->vlan_present; }

/* Where the UDP header of a datagram is that comes neither in fragments nor with options or extension headers, which are
 * the kernel's; 0: nowhere. The addresses go into the key, as they will be looked up. */
static __always_inline int udp_of_ipv4(struct __sk_buff* skb, struct claim_key* key, __u8* source) {
  struct iphdr ip;
  if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) != 0 || ip.version != 4) return 0;
  if (ip.ihl != 5 || ip.protocol != IPPROTO_UDP || ip.frag_off & bpf_htons(0x3fff)) return 0;
  map_ipv4(key->local, ip.daddr);
  map_ipv4(source, ip.saddr);
  return ETH_HLEN + sizeof ip;
}

static __always_inline int udp_of_ipv6(struct __sk_buff* skb, struct claim_key* key, __u8* source) {
  struct ipv6hdr ip;
  if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) != 0 || ip.version != 6) return 0;
  if (ip.nexthdr != IPPROTO_UDP) return 0;
  __builtin_memcpy(key->local, &ip.daddr, sizeof key->local);
  __builtin_memcpy(source, &ip.saddr, sizeof key->remote);
  return ETH_HLEN + sizeof ip;
}

/* The claim on a datagram, if there is one. */
static __always_inline __u32* claim_on(struct __sk_buff* skb) {
  struct udphdr udp;
  struct claim_key key = {};
  __u8 source[16] = {};
  int at = 0;
  if (!is_for_host(skb)) return 0;
  if (skb->protocol == bpf_htons(ETH_P_IP)) at = udp_of_ipv4(skb, &key, source);
  if (skb->protocol == bpf_htons(ETH_P_IPV6)) at = udp_of_ipv6(skb, &key, source);
  if (at == 0 || bpf_skb_load_bytes(skb, at, &udp, sizeof udp) != 0) return 0;
  key.local_port = udp.dest;
  __u32* found = bpf_map_lookup_elem(&claims, &key);
  if (found) return found;
  __builtin_memcpy(key.remote, source, sizeof key.remote);
  key.remote_port = udp.source;
  return bpf_map_lookup_elem(&claims, &key);
}

/* At tc ingress. */
SEC("tc")
int steer(struct __sk_buff* skb) { return claim_on(skb) ? TCX_DROP : TCX_NEXT; }

static __always_inline int is_icmpv4_error(struct __sk_buff* skb) {
  struct iphdr ip;
  __u8 type;
  if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) != 0 || ip.version != 4) return 0;
  if (ip.protocol != IPPROTO_ICMP || ip.frag_off & bpf_htons(0x1fff)) return 0;
  if (bpf_skb_load_bytes(skb, ETH_HLEN + ip.ihl * 4, &type, sizeof type) != 0) return 0;
  return type == ICMP_UNREACHABLE || type == ICMP_EXCEEDED || type == ICMP_PARAMETER;
}

static __always_inline int is_icmpv6_error(struct __sk_buff* skb) {
  struct ipv6hdr ip;
  __u8 type;
  if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) != 0 || ip.version != 6) return 0;
  if (ip.nexthdr != IPPROTO_ICMPV6) return 0;
  if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof ip, &type, sizeof type) != 0) return 0;
  return type < ICMPV6_INFORMATIONAL;
}

static __always_inline int is_icmp_error(struct __sk_buff* skb) {
  if (!is_for_host(skb)) return 0;
  if (skb->protocol == bpf_htons(ETH_P_IP)) return is_icmpv4_error(skb);
  return skb->protocol == bpf_htons(ETH_P_IPV6) && is_icmpv6_error(skb);
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
