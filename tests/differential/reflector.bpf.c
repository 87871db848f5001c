/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */

/* The host on the other side of the sequences' interface. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "reflection.h"

SEC("xdp")
int reflect(struct xdp_md* context) {
  octet *data = (void*)(long)context->data, *end = (void*)(long)context->data_end;
  return reflect_frame(data, end) ? XDP_TX : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
