/* What is claimed of an interface's traffic is let through to one of our taps and kept from the kernel. It is decided once,
 * by the tap that takes a datagram: what claims change in the meantime makes nobody take it twice, or lose it.
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

#include "claims.bpf.h"

/* The verdicts at TCX, which linux/bpf.h has from 6.6 on. */
#define TCX_NEXT -1
#define TCX_DROP 2

#define EVERYTHING 0x7fffffff
#define ICMP_UNREACHABLE 3
#define ICMP_EXCEEDED 11
#define ICMP_PARAMETER 12
#define ICMPV6_INFORMATIONAL 128

/* The mark of the datagram that a tap has taken and tc hasn't seen yet; 0: none. All taps see a frame before tc does, on the
 * same processor, and no other frame of the interface comes in between. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} taken SEC(".maps");

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

/* Untagged, and for this host alone. */
static __always_inline int is_for_host(struct __sk_buff* skb) { return skb->pkt_type == PACKET_HOST && !skb->vlan_present; }

struct datagram {
  struct claim_key key; /* with the remote end */
  struct udphdr udp;
  __u16 identification; /* of IPv4 */
};

/* A datagram that comes neither in fragments nor with options or extension headers, which are the kernel's. Returns where its
 * UDP header is; 0: it is none. */
static __always_inline int read_ipv4(struct __sk_buff* skb, struct datagram* out) {
  struct iphdr ip;
  if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) != 0 || ip.version != 4) return 0;
  if (ip.ihl != 5 || ip.protocol != IPPROTO_UDP || ip.frag_off & bpf_htons(0x3fff)) return 0;
  map_ipv4(out->key.local, ip.daddr);
  map_ipv4(out->key.remote, ip.saddr);
  out->identification = ip.id;
  return ETH_HLEN + sizeof ip;
}

static __always_inline int read_ipv6(struct __sk_buff* skb, struct datagram* out) {
  struct ipv6hdr ip;
  if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) != 0 || ip.version != 6) return 0;
  if (ip.nexthdr != IPPROTO_UDP) return 0;
  __builtin_memcpy(out->key.local, &ip.daddr, sizeof out->key.local);
  __builtin_memcpy(out->key.remote, &ip.saddr, sizeof out->key.remote);
  return ETH_HLEN + sizeof ip;
}

static __always_inline int read_datagram(struct __sk_buff* skb, struct datagram* out) {
  int at = 0;
  if (!is_for_host(skb)) return 0;
  if (skb->protocol == bpf_htons(ETH_P_IP)) at = read_ipv4(skb, out);
  if (skb->protocol == bpf_htons(ETH_P_IPV6)) at = read_ipv6(skb, out);
  if (at == 0 || bpf_skb_load_bytes(skb, at, &out->udp, sizeof out->udp) != 0) return 0;
  out->key.local_port = out->udp.dest;
  out->key.remote_port = out->udp.source;
  return 1;
}

/* Tells one datagram from the next. */
static __always_inline __u64 mark_of(struct datagram* d) {
  __u64 udp;
  __builtin_memcpy(&udp, &d->udp, sizeof udp);
  return mix(mix(mix_address(mix_address(0, d->key.local), d->key.remote), udp), d->identification) | 1;
}

/* At tc ingress: what a tap has taken goes no further. */
SEC("tc")
int steer(struct __sk_buff* skb) {
  const __u32 first = 0;
  struct datagram d = {};
  __u64* mark = bpf_map_lookup_elem(&taken, &first);
  if (!mark || !*mark) return TCX_NEXT;
  const __u64 theirs = *mark;
  *mark = 0;
  return read_datagram(skb, &d) && mark_of(&d) == theirs ? TCX_DROP : TCX_NEXT;
}

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

/* The number of the member whose tap this is; the loader writes it into the program. */
static __always_inline __u64 own_member(void) {
  __u64 number;
  asm volatile("%0 = %1 ll" : "=r"(number) : "i"(FASTUDP_MEMBER_PLACEHOLDER));
  return number;
}

/* On a tap. */
SEC("socket")
int tap(struct __sk_buff* skb) {
  const __u32 first = 0;
  struct datagram d = {};
  if (!read_datagram(skb, &d)) return is_icmp_error(skb) ? EVERYTHING : 0;
  struct claim_members* claim = claim_on(&d.key);
  if (!claim || member_for(&d.key, claim) != own_member()) return 0;
  __u64* mark = bpf_map_lookup_elem(&taken, &first);
  const __u64 this = mark_of(&d);
  if (!mark || *mark == this) return 0; /* another tap has it: the claim has changed since */
  *mark = this;
  return EVERYTHING;
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
