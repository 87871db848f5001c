/* The operations of that mempool: taking and giving back are done by the core, on the list of its pool. */
#include "frames.h"

#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <stdio.h>

#define OPERATIONS "fastudp"

__thread const struct frames* frames_at_hand __attribute__((tls_model("initial-exec")));

static int start_list(struct rte_mempool* mp) {
  mp->pool_data = mp->pool_config;
  return 0;
}

static void end_list(struct rte_mempool* mp) { (void)mp; }

static int give_back(struct rte_mempool* mp, void* const* mbufs, unsigned count) {
  const struct frames* f = mp->pool_data;
  if (!f->is_filled) return 0; /* raw memory, which is no frame yet */
  if (frames_at_hand == f) {
    for (unsigned i = 0; i < count; ++i) f->pool.release(f->pool.self, packet_of(mbufs[i]));
  } else {
    for (unsigned i = 0; i < count; ++i) f->pool.release_from_any_thread(f->pool.self, packet_of(mbufs[i]));
  }
  return 0;
}

/* All or none. */
static int take(struct rte_mempool* mp, void** mbufs, unsigned count) {
  const struct frames* f = mp->pool_data;
  if (frames_at_hand != f) return -ENOBUFS;
  for (unsigned i = 0; i < count; ++i) {
    void* packet = f->pool.take(f->pool.self);
    if (!packet) return give_back(mp, mbufs, i), -ENOBUFS;
    mbufs[i] = mbuf_of(packet);
  }
  return 0;
}

static unsigned available(const struct rte_mempool* mp) {
  const struct frames* f = mp->pool_data;
  return f->is_filled ? f->pool.available(f->pool.self) : mp->populated_size;
}

static const struct rte_mempool_ops operations = {
    .name = OPERATIONS,
    .alloc = start_list,
    .free = end_list,
    .enqueue = give_back,
    .dequeue = take,
    .get_count = available,
};

RTE_MEMPOOL_REGISTER_OPS(operations)

static void adopt(struct rte_mempool* mp, void* config, void* mbuf, unsigned number) {
  const struct frames* f = config;
  rte_pktmbuf_init(mp, NULL, mbuf, number);
  f->pool.adopt(f->pool.self, packet_of(mbuf), ((struct rte_mbuf*)mbuf)->buf_addr);
}

static int fill(struct frames* f, uint32_t size) {
  struct rte_pktmbuf_pool_private about = {.mbuf_data_room_size = (uint16_t)size,
                                           .mbuf_priv_size = FASTUDP_DPDK_PACKET};
  const int set = rte_mempool_set_ops_byname(f->mempool, OPERATIONS, f);
  if (set != 0) return set;
  rte_pktmbuf_pool_init(f->mempool, &about);
  const int populated = rte_mempool_populate_default(f->mempool);
  if (populated < 0) return populated;
  rte_mempool_obj_iter(f->mempool, adopt, f);
  f->is_filled = 1;
  return 0;
}

/* Where devices don't see physical pages, frames stand as close as they can: in small pages it would be one to a page, and
 * the driver net_af_xdp thinks that all memory is as long as its frames together. */
static unsigned layout(void) {
  return rte_eal_iova_mode() == RTE_IOVA_VA || !rte_eal_has_hugepages() ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
}

int frames_create(struct frames* out, const struct fastudp_dpdk_pool* pool, uint32_t count, uint32_t size) {
  static unsigned made; /* a name isn't free while others have frames */
  char name[RTE_MEMPOOL_NAMESIZE];
  snprintf(name, sizeof name, "fastudp_%u", made++);
  const unsigned element = (unsigned)sizeof(struct rte_mbuf) + FASTUDP_DPDK_PACKET + size;
  *out = (struct frames){.pool = *pool, .count = count};
  out->mempool =
      rte_mempool_create_empty(name, count, element, 0, sizeof(struct rte_pktmbuf_pool_private), SOCKET_ID_ANY, layout());
  if (!out->mempool) return -rte_errno;
  const int filled = fill(out, size);
  if (filled == 0) return 0;
  rte_mempool_free(out->mempool);
  out->mempool = NULL;
  return filled;
}

int frames_free(struct frames* f) {
  if (!f->mempool) return 0;
  if (f->pool.available(f->pool.self) != f->count) return -EBUSY;
  rte_mempool_free(f->mempool);
  f->mempool = NULL;
  return 0;
}
