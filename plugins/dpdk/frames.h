/* A mempool whose free list is the core's pool. */
#pragma once

#include <rte_mbuf.h>

#include "link/dpdk/plugin.h"

struct frames {
  struct fastudp_dpdk_pool pool;
  struct rte_mempool* mempool;
  uint32_t count;
  int is_filled;
};

/* The frames of the port that this thread is at work for, whose pool it may use as its owner. */
extern __thread const struct frames* frames_at_hand __attribute__((tls_model("initial-exec")));

/* 0 or -errno. One thread at a time. */
int frames_create(struct frames* out, const struct fastudp_dpdk_pool* pool, uint32_t count, uint32_t size);
/* EBUSY: some are out; then their memory stays. */
int frames_free(struct frames* f);

static inline struct rte_mbuf* mbuf_of(void* packet) { return (struct rte_mbuf*)packet - 1; }
static inline void* packet_of(struct rte_mbuf* m) { return m + 1; }
