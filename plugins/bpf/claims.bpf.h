/* The map of claims, and how a datagram is looked up in it. SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "maps.h"

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, FASTUDP_MOST_CLAIMS);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct claim_key);
  __type(value, struct claim_members);
} claims SEC(".maps");

static __always_inline void map_ipv4(__u8* to, __be32 address) {
  to[10] = to[11] = 0xff;
  __builtin_memcpy(to + 12, &address, sizeof address);
}

/* Who has a claim on a datagram with these ends: of any peer, or of this one. */
static __always_inline struct claim_members* claim_on(const struct claim_key* ends) {
  struct claim_key any_peer = *ends;
  __builtin_memset(any_peer.remote, 0, sizeof any_peer.remote);
  any_peer.remote_port = 0;
  struct claim_members* found = bpf_map_lookup_elem(&claims, &any_peer);
  return found ? found : bpf_map_lookup_elem(&claims, ends);
}

static __always_inline __u64 mix(__u64 sum, __u64 word) { return ((sum ^ word) * 0x9e3779b97f4a7c15) ^ (sum >> 29); }

static __always_inline __u64 mix_address(__u64 sum, const __u8* address) {
  __u64 words[2];
  __builtin_memcpy(words, address, sizeof words);
  return mix(mix(sum, words[0]), words[1]);
}

/* Whose of them a datagram with these ends is. */
static __always_inline __u32 member_for(const struct claim_key* ends, const struct claim_members* of) {
  const __u64 hash = mix(mix_address(0, ends->remote), ends->remote_port);
  return of->slot[(hash >> 32) % FASTUDP_SLOTS];
}
