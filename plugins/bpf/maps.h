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

/* Whose a claimed flow is: its conversations fall, by remote address and port, into so many slots, each of which is one
 * member's. A member more or less moves no others' conversations than it must. */
#define FASTUDP_SLOTS 64
#define FASTUDP_MOST_MEMBERS 15
#define FASTUDP_REDIRECTED_MEMBER 0 /* whose share goes to AF_XDP sockets, where there are any */
struct claim_members {
  __u8 slot[FASTUDP_SLOTS];
};

/* What stands in the program of a tap, as it is compiled, for the number of its member. */
#define FASTUDP_MEMBER_PLACEHOLDER 0x6d656d6265722121

/* What the program at XDP is told before it is loaded. */
#define FASTUDP_MOST_QUEUES 256
struct redirect_config {
  __u32 longest; /* frame that a link's socket takes */
  __u8 mac[6];
  __u8 takes_all; /* that comes to this MAC address, whether it is claimed or not */
};
