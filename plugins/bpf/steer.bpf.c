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

/* What a tap has taken and tc hasn't seen yet. All taps see a frame before tc does, on the same processor, and no other frame
 * of the interface comes in between. So if there is something when the next one comes, our program was taken off tc: the
 * kernel gets what the taps take as well, and they leave everything to it until tc sees frames again. */
struct taken_frame {
  __u64 mark;     /* 0: nothing */
  __u64 flow;     /* of a super-packet; 0: it is a datagram */
  __u32 segments; /* that the kernel hasn't given to a socket yet */
};
#define LEFT_TO_KERNEL 2 /* a mark that no datagram has */

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct taken_frame);
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

static __always_inline __u64 flow_of(struct datagram* d) {
  const __u64 ports = (__u64)d->udp.source << 16 | d->udp.dest;
  return mix(mix_address(mix_address(0, d->key.local), d->key.remote), ports) | 1;
}

/* Tells one datagram from the next. */
static __always_inline __u64 mark_of(struct datagram* d) {
  const __u64 rest = (__u64)d->udp.len << 32 | (__u32)d->udp.check << 16 | d->identification;
  return mix(flow_of(d), rest) | 1;
}

static __always_inline struct taken_frame* what_is_taken(void) {
  const __u32 first = 0;
  return bpf_map_lookup_elem(&taken, &first);
}

/* At tc ingress: what a tap has taken goes no further. */
SEC("tc")
int steer(struct __sk_buff* skb) {
  struct datagram d = {};
  struct taken_frame* frame = what_is_taken();
  if (!frame || !frame->mark) return TCX_NEXT;
  const __u64 theirs = frame->mark;
  frame->mark = 0;
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
  struct datagram d = {};
  if (!read_datagram(skb, &d)) return is_icmp_error(skb) ? EVERYTHING : 0;
  struct claim_members* claim = claim_on(&d.key);
  if (!claim || member_for(&d.key, claim) != own_member()) return 0;
  struct taken_frame* frame = what_is_taken();
  const __u64 this = mark_of(&d);
  if (!frame || frame->mark == this) return 0; /* another tap has it: the claim has changed since */
  if (frame->mark) {
    frame->mark = LEFT_TO_KERNEL;
    return 0;
  }
  frame->mark = this;
  frame->flow = skb->gso_size ? flow_of(&d) : 0;
  frame->segments = skb->gso_segs;
  return EVERYTHING;
}

/* The same at a socket, which sees a datagram from its UDP header on. */
static __always_inline int read_at_socket(struct __sk_buff* skb, struct datagram* out) {
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    struct iphdr ip;
    if (bpf_skb_load_bytes_relative(skb, 0, &ip, sizeof ip, BPF_HDR_START_NET) != 0) return 0;
    map_ipv4(out->key.local, ip.daddr);
    map_ipv4(out->key.remote, ip.saddr);
    out->identification = ip.id;
  } else {
    struct ipv6hdr ip;
    if (bpf_skb_load_bytes_relative(skb, 0, &ip, sizeof ip, BPF_HDR_START_NET) != 0) return 0;
    __builtin_memcpy(out->key.local, &ip.daddr, sizeof out->key.local);
    __builtin_memcpy(out->key.remote, &ip.saddr, sizeof out->key.remote);
  }
  return bpf_skb_load_bytes(skb, 0, &out->udp, sizeof out->udp) == 0;
}

/* A tap has it, and there was no program at tc to keep it from the kernel. A super-packet comes whole or in segments. */
static __always_inline int is_taken(struct __sk_buff* skb) {
  struct datagram d = {};
  struct taken_frame* frame = what_is_taken();
  if (!frame || !frame->mark || frame->mark == LEFT_TO_KERNEL || !read_at_socket(skb, &d)) return 0;
  const int is_whole = mark_of(&d) == frame->mark;
  const int is_segment = frame->flow && flow_of(&d) == frame->flow;
  if (!is_whole && !is_segment) return 0;
  if (is_whole || frame->segments <= 1) {
    frame->mark = 0;
  } else {
    --frame->segments;
  }
  return 1;
}

/* On a companion: lets everything through that isn't taken, and counts it. */
SEC("socket")
int count(struct __sk_buff* skb) {
  if (is_taken(skb)) return 0;
  __u64 cookie = bpf_get_socket_cookie(skb);
  __u32* where = bpf_map_lookup_elem(&watched, &cookie);
  __u64* number = where ? bpf_map_lookup_elem(&counts, where) : 0;
  if (number) __sync_fetch_and_add(number, 1);
  return EVERYTHING;
}

char _license[] SEC("license") = "Dual BSD/GPL";
