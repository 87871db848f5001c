/* What the BPF programs and their loader both know. SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#pragma once

#include <linux/types.h>

#define FASTUDP_MOST_CLAIMS 65536
#define FASTUDP_MOST_COUNTS 65536

/* Addresses as they stand in packets, IPv4 as ::ffff:a.b.c.d; ports in network order. A remote port of 0: any peer. */
struct claim_key {
  __u8 local[16], remote[16];
  __u16 local_port, remote_port;
};

/* A claim that is being removed is first hidden from the tap, so that nothing comes both ways. */
#define CLAIM_TAPPED 1
