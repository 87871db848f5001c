/* fastudp-dpdk.so: ports of DPDK, for the link dpdk: of libfastudp.so, by a table. A shared object of its own, so that the
 * library itself depends on libc alone. It is never unloaded, as DPDK can't be. */
#include <errno.h>
#include <pthread.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alone.h"
#include "eal.h"
#include "frames.h"
#include "memif.h"

#define RING_SIZE 512
#define SHORT_RING 128
#define MOST_BURST 64

struct port {
  uint16_t number, queues;
  int is_started, is_promiscuous;
  char name[RTE_ETH_NAME_MAX_LEN];
  struct frames frames;
  uint64_t unfit; /* frames, for us or for the driver */
  struct port* next;
};

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER; /* opening and closing: DPDK is the whole process's */
static struct port* ports;

static int fail(int code, char* why, size_t why_size, const struct port* p, const char* what) {
  snprintf(why, why_size, "%s %s: %s", p->name, what, log_said(code));
  return code < 0 ? code : -code;
}

/* ---- Plugging in */

/* As the port will be called: a PCI address in full, or what a virtual device's arguments begin with. */
static void name_port(struct port* p, const char* device) {
  unsigned bus, slot, function;
  int end = 0;
  const int length = (int)strcspn(device, ",");
  const int is_short = sscanf(device, "%x:%x.%x%n", &bus, &slot, &function, &end) == 3 && end == length;
  snprintf(p->name, sizeof p->name, "%s%.*s", is_short ? "0000:" : "", length, device);
}

static int is_open(const char* name) {
  for (const struct port* each = ports; each; each = each->next) {
    if (strcmp(each->name, name) == 0) return 1;
  }
  return 0;
}

static void ignore(int number) { (void)number; }

static int is_for_frames(int number) { return number == SIGIO || (number >= SIGRTMIN && number <= SIGRTMAX); }

/* The driver net_tap takes a signal that has no handler, and has it sent for each frame. No program of ours wants that: it
 * finds none, and then does without. */
static void hide_signals(struct sigaction before[_NSIG]) {
  const struct sigaction taken = {.sa_handler = ignore, .sa_flags = SA_RESTART};
  for (int i = 1; i < _NSIG; ++i) {
    if (is_for_frames(i)) sigaction(i, &taken, &before[i]);
  }
}

static void show_signals(const struct sigaction before[_NSIG]) {
  for (int i = 1; i < _NSIG; ++i) {
    if (is_for_frames(i)) sigaction(i, &before[i], NULL);
  }
}

static int probe(const char* device) {
  struct sigaction before[_NSIG];
  hide_signals(before);
  const int outcome = rte_dev_probe(device);
  show_signals(before);
  return outcome;
}

static int plug_in(struct port* p, const char* device, char* why, size_t why_size) {
  if (is_open(p->name)) return snprintf(why, why_size, "%s is in use in this process", p->name), -EBUSY;
  log_listen();
  if (rte_eth_dev_get_port_by_name(p->name, &p->number) == 0) return 0; /* the program's, or found at start */
  if (strncmp(p->name, "net_memif", strlen("net_memif")) == 0) memif_clear_name(device);
  const int probed = probe(device);
  if (probed != 0) return fail(probed == -EEXIST ? -EBUSY : -ENODEV, why, why_size, p, "can't be plugged in");
  if (rte_eth_dev_get_port_by_name(p->name, &p->number) == 0) return 0;
  return snprintf(why, why_size, "%s is no network port", p->name), -ENODEV;
}

static void pull_out(const struct port* p) {
  struct rte_eth_dev_info about;
  if (rte_eth_dev_info_get(p->number, &about) != 0) return;
  rte_eth_dev_close(p->number);
  rte_dev_remove(about.device);
}

/* As rte_ethdev reckons, for drivers that know one of both only. */
static uint32_t most_mtu(const struct rte_eth_dev_info* about) {
  const uint32_t most_frame = about->max_rx_pktlen;
  const uint32_t overhead = about->max_mtu != UINT16_MAX && most_frame > about->max_mtu
                                ? most_frame - about->max_mtu
                                : RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
  const uint32_t by_frame = most_frame > overhead ? most_frame - overhead : 0;
  return RTE_MIN((uint32_t)about->max_mtu, by_frame);
}

static int describe(const struct port* p, struct fastudp_dpdk_info* info) {
  struct rte_eth_dev_info about;
  struct rte_ether_addr mac;
  uint16_t mtu;
  int outcome = rte_eth_dev_info_get(p->number, &about);
  if (outcome == 0) outcome = rte_eth_macaddr_get(p->number, &mac);
  if (outcome == 0) outcome = rte_eth_dev_get_mtu(p->number, &mtu);
  if (outcome != 0) return outcome;
  if (rte_is_zero_ether_addr(&mac)) rte_eth_random_addr(mac.addr_bytes); /* net_ring has none */
  snprintf(info->driver, sizeof info->driver, "%s", about.driver_name);
  memcpy(info->mac, mac.addr_bytes, sizeof info->mac);
  info->mtu = mtu;
  info->least_mtu = about.min_mtu;
  info->most_mtu = most_mtu(&about);
  info->interface = (int)about.if_index;
  info->can_sum = (about.tx_offload_capa & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) != 0;
  info->queues = RTE_MIN((uint32_t)about.max_rx_queues, (uint32_t)FASTUDP_DPDK_QUEUES);
  return 0;
}

static int open_locked(struct port* p, const char* device, const char* eal, struct fastudp_dpdk_info* info, char* why,
                       size_t why_size) {
  const int started = eal_start(device, eal, why, why_size);
  if (started != 0) return started;
  name_port(p, device);
  const int plugged = plug_in(p, device, why, why_size);
  if (plugged != 0) return plugged;
  const int described = describe(p, info);
  if (described == 0) return 0;
  pull_out(p);
  return fail(described, why, why_size, p, "doesn't say what it is");
}

static int open_port(const char* device, const char* eal, void** port, struct fastudp_dpdk_info* info, char* why,
                     size_t why_size) {
  struct port* p = calloc(1, sizeof *p);
  if (!p) return snprintf(why, why_size, "no memory for a port"), -ENOMEM;
  pthread_mutex_lock(&guard);
  const int outcome = open_locked(p, device, eal, info, why, why_size);
  if (outcome == 0) {
    p->next = ports;
    ports = p;
    *port = p;
  }
  pthread_mutex_unlock(&guard);
  if (outcome != 0) free(p);
  return outcome;
}

/* ---- Starting */

/* All queues are ours: it doesn't matter by which of them a flow comes, as long as it is the same one. A device without
 * this has ways of its own. */
static void spread_flows(struct rte_eth_conf* conf, const struct rte_eth_dev_info* about) {
  const uint64_t kinds = about->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
  if (kinds == 0) return;
  conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
  conf->rx_adv_conf.rss_conf.rss_hf = kinds; /* with the driver's own key */
}

/* To send, the first queue is enough for the one thread that does: with others a burst would be several. But there are as
 * many of either kind where that can be, since the drivers net_tap and net_memif know pairs only. */
static uint16_t queues_to_send(const struct port* p, const struct rte_eth_dev_info* about) {
  return RTE_MIN(p->queues, about->max_tx_queues);
}

static int configure(const struct port* p, const struct fastudp_dpdk_start* with, const struct rte_eth_dev_info* about) {
  const uint64_t checksums = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
  struct rte_eth_conf conf = {0};
  conf.rxmode.mtu = with->mtu;
  if (with->verify_checksums) conf.rxmode.offloads = about->rx_offload_capa & checksums;
  if (with->sum) conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
  if (p->queues > 1) spread_flows(&conf, about);
  conf.intr_conf.rxq = 1;
  if (rte_eth_dev_configure(p->number, p->queues, queues_to_send(p, about), &conf) == 0) return 0;
  conf.intr_conf.rxq = 0;
  return rte_eth_dev_configure(p->number, p->queues, queues_to_send(p, about), &conf);
}

struct ring_sizes {
  uint16_t received, sent;
};

/* Many queues have short rings: each of their frames is memory that isn't used for anything else. */
static int choose_sizes(const struct port* p, struct ring_sizes* out) {
  const uint32_t share = rte_align32prevpow2(4 * RING_SIZE / p->queues);
  out->received = (uint16_t)RTE_MIN(RTE_MAX(share, (uint32_t)SHORT_RING), (uint32_t)RING_SIZE);
  out->sent = RING_SIZE;
  return rte_eth_dev_adjust_nb_rx_tx_desc(p->number, &out->received, &out->sent);
}

static int set_up_queues(const struct port* p, const struct rte_eth_dev_info* about, const struct ring_sizes* sizes) {
  struct sigaction before[_NSIG];
  int outcome = 0;
  hide_signals(before);
  for (uint16_t i = 0; i < p->queues && outcome == 0; ++i)
    outcome = rte_eth_rx_queue_setup(p->number, i, sizes->received, SOCKET_ID_ANY, NULL, p->frames.mempool);
  for (uint16_t i = 0; i < queues_to_send(p, about) && outcome == 0; ++i)
    outcome = rte_eth_tx_queue_setup(p->number, i, sizes->sent, SOCKET_ID_ANY, NULL);
  show_signals(before);
  return outcome;
}

/* Frames to an address that isn't the device's: it is told, or takes all there are. What the kernel uses as well is the
 * core's to tell, in a way that ends with the process. */
static void set_mac(struct port* p, const struct fastudp_dpdk_start* with) {
  struct rte_ether_addr mac;
  memcpy(mac.addr_bytes, with->mac, sizeof with->mac);
  const int admits = !with->has_own_mac || !with->may_change_mac ||
                     rte_eth_dev_default_mac_addr_set(p->number, &mac) == 0 ||
                     rte_eth_dev_mac_addr_add(p->number, &mac, 0) == 0;
  p->is_promiscuous = !admits && rte_eth_promiscuous_enable(p->number) == 0;
}

static int start_locked(struct port* p, const struct fastudp_dpdk_start* with, char* why, size_t why_size) {
  struct rte_eth_dev_info about;
  p->queues = (uint16_t)with->queues;
  log_listen();
  int outcome = rte_eth_dev_info_get(p->number, &about);
  if (outcome == 0) outcome = configure(p, with, &about);
  if (outcome != 0) return fail(outcome, why, why_size, p, "can't be configured");
  outcome = with->change_mtu ? rte_eth_dev_set_mtu(p->number, (uint16_t)with->mtu) : 0;
  if (outcome != 0 && outcome != -ENOTSUP) return fail(-EINVAL, why, why_size, p, "doesn't take that mtu");
  struct ring_sizes sizes;
  outcome = choose_sizes(p, &sizes);
  if (outcome != 0) return fail(outcome, why, why_size, p, "doesn't say how long its rings are");
  outcome = frames_create(&p->frames, &with->pool, with->frames + (uint32_t)p->queues * sizes.received, with->frame_size);
  if (outcome != 0) return fail(outcome, why, why_size, p, "has no memory for its frames");
  outcome = set_up_queues(p, &about, &sizes);
  if (outcome != 0) return fail(outcome, why, why_size, p, "has no queues");
  log_listen();
  outcome = rte_eth_dev_start(p->number);
  if (outcome != 0) return fail(outcome, why, why_size, p, "doesn't start");
  p->is_started = 1;
  set_mac(p, with);
  return 0;
}

static int start(void* port, const struct fastudp_dpdk_start* with, char* why, size_t why_size) {
  struct port* p = port;
  pthread_mutex_lock(&guard);
  frames_at_hand = &p->frames;
  const int outcome = start_locked(p, with, why, why_size);
  frames_at_hand = NULL;
  pthread_mutex_unlock(&guard);
  return outcome;
}

/* ---- Closing */

/* The driver net_ring forgets what its ring holds. */
static void drain(const struct port* p, uint16_t queue) {
  struct rte_mbuf* rest[MOST_BURST];
  uint16_t n = MOST_BURST;
  for (int bursts = 0; n != 0 && bursts < 64; ++bursts) {
    n = rte_eth_rx_burst(p->number, queue, rest, MOST_BURST);
    rte_pktmbuf_free_bulk(rest, n);
  }
}

static void forget(const struct port* p) {
  struct port** at = &ports;
  while (*at != p) at = &(*at)->next;
  *at = p->next;
}

static void hang_up(void* port) {
  pthread_mutex_lock(&guard);
  memif_hang_up(((struct port*)port)->number);
  pthread_mutex_unlock(&guard);
}

static void shut(void* port) {
  struct port* p = port;
  pthread_mutex_lock(&guard);
  frames_at_hand = &p->frames;
  if (p->is_started) {
    if (p->is_promiscuous) rte_eth_promiscuous_disable(p->number);
    for (uint16_t i = 0; i < p->queues; ++i) drain(p, i);
    rte_eth_dev_stop(p->number);
  }
  pull_out(p);
  forget(p);
  frames_at_hand = NULL;
  pthread_mutex_unlock(&guard);
}

static int is_of_driver(const struct port* p, const char* name) {
  struct rte_eth_dev_info about;
  return rte_eth_dev_info_get(p->number, &about) == 0 && strcmp(about.driver_name, name) == 0;
}

static int close_port(void* port) {
  struct port* p = port;
  if (memif_is(p->number)) {
    alone(hang_up, p);
    alone(shut, p);
  } else if (is_of_driver(p, "net_virtio_user")) {
    alone(shut, p);
  } else {
    shut(p);
  }
  pthread_mutex_lock(&guard);
  const int outcome = frames_free(&p->frames);
  pthread_mutex_unlock(&guard);
  if (outcome == 0) free(p);
  return outcome;
}

/* ---- Frames */

static uint8_t checksum_said_by(const struct rte_mbuf* m) {
  switch (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
    case RTE_MBUF_F_RX_L4_CKSUM_GOOD: return FASTUDP_DPDK_VERIFIED;
    case RTE_MBUF_F_RX_L4_CKSUM_NONE: return FASTUDP_DPDK_PARTIAL; /* a local sender left it to its hardware */
    default: return FASTUDP_DPDK_UNKNOWN;
  }
}

/* In a frame of ours, in one piece; null when none is left, or it is too long. */
static struct rte_mbuf* copy(struct port* p, struct rte_mbuf* m) {
  struct rte_mbuf* out = rte_pktmbuf_alloc(p->frames.mempool);
  if (!out) return NULL;
  void* to = rte_pktmbuf_append(out, (uint16_t)m->pkt_len);
  if (m->pkt_len > UINT16_MAX || !to) {
    ++p->unfit;
    rte_pktmbuf_free(out);
    return NULL;
  }
  const void* from = rte_pktmbuf_read(m, 0, m->pkt_len, to);
  if (from != to) memcpy(to, from, m->pkt_len);
  out->ol_flags = m->ol_flags;
  return out;
}

static int is_ours(const struct port* p, const struct rte_mbuf* m) {
  return m->pool == p->frames.mempool && m->nb_segs == 1 && RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1;
}

static uint32_t rx_burst(void* port, uint32_t queue, struct fastudp_dpdk_frame* out, uint32_t room) {
  struct port* p = port;
  struct rte_mbuf* got[MOST_BURST];
  frames_at_hand = &p->frames;
  const uint16_t n = rte_eth_rx_burst(p->number, (uint16_t)queue, got, (uint16_t)RTE_MIN(room, (uint32_t)MOST_BURST));
  uint32_t kept = 0;
  for (uint16_t i = 0; i < n; ++i) {
    struct rte_mbuf* m = got[i];
    if (!is_ours(p, m)) {
      m = copy(p, got[i]);
      rte_pktmbuf_free(got[i]);
      if (!m) continue;
    }
    out[kept++] = (struct fastudp_dpdk_frame){packet_of(m), m->data_off, m->data_len, checksum_said_by(m), 0, 0};
  }
  frames_at_hand = NULL;
  return kept;
}

static struct rte_mbuf* to_send(const struct fastudp_dpdk_frame* f) {
  const unsigned ipv4_header = 20;
  struct rte_mbuf* m = mbuf_of(f->packet);
  m->data_off = (uint16_t)f->begin;
  m->data_len = (uint16_t)f->length;
  m->pkt_len = f->length;
  m->ol_flags = 0;
  if (f->checksum == FASTUDP_DPDK_PARTIAL) {
    m->l2_len = f->link_header;
    m->l3_len = f->ip_header;
    m->packet_type = RTE_PTYPE_L4_UDP; /* by which net_vhost knows that no sum may be sent as 0 */
    m->ol_flags = RTE_MBUF_F_TX_UDP_CKSUM | (f->ip_header == ipv4_header ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
  }
  return m;
}

/* Lost, since the driver would refuse it again. */
static uint16_t refuse(struct port* p, struct rte_mbuf* first) {
  ++p->unfit;
  rte_pktmbuf_free(first);
  return 1;
}

static uint32_t tx_burst(void* port, const struct fastudp_dpdk_frame* in, uint32_t count) {
  struct port* p = port;
  struct rte_mbuf* all[MOST_BURST];
  int is_partial = 0;
  if (count > MOST_BURST) count = MOST_BURST;
  for (uint32_t i = 0; i < count; ++i) {
    all[i] = to_send(&in[i]);
    is_partial |= in[i].checksum == FASTUDP_DPDK_PARTIAL;
  }
  frames_at_hand = &p->frames;
  const uint16_t ready = is_partial ? rte_eth_tx_prepare(p->number, 0, all, (uint16_t)count) : (uint16_t)count;
  const uint16_t taken = ready != 0 ? rte_eth_tx_burst(p->number, 0, all, ready) : refuse(p, all[0]);
  frames_at_hand = NULL;
  return taken;
}

/* ---- State */

static int is_up(void* port) {
  struct rte_eth_link state = {0};
  return rte_eth_link_get_nowait(((struct port*)port)->number, &state) == 0 && state.link_status == RTE_ETH_LINK_UP;
}

static int interrupt_fd(void* port, uint32_t queue) {
  return rte_eth_dev_rx_intr_ctl_q_get_fd(((struct port*)port)->number, (uint16_t)queue);
}

static void arm(void* port) {
  const struct port* p = port;
  for (uint16_t i = 0; i < p->queues; ++i) rte_eth_dev_rx_intr_enable(p->number, i);
}

static void admit(void* port, const uint8_t (*groups)[6], uint32_t count, int all) {
  const struct port* p = port;
  const int is_listed = rte_eth_dev_set_mc_addr_list(p->number, (struct rte_ether_addr*)groups, count) == 0;
  if (all || (!is_listed && count != 0)) {
    rte_eth_allmulticast_enable(p->number);
  } else {
    rte_eth_allmulticast_disable(p->number);
  }
}

static void losses(void* port, struct fastudp_dpdk_losses* out) {
  const struct port* p = port;
  struct rte_eth_stats stats = {0};
  (void)!rte_eth_stats_get(p->number, &stats);
  *out = (struct fastudp_dpdk_losses){stats.imissed, stats.rx_nombuf, stats.ierrors + p->unfit};
}

__attribute__((visibility("default"))) const struct fastudp_dpdk_table fastudp_dpdk = {
    .size = sizeof(struct fastudp_dpdk_table),
    .build_id = FASTUDP_BUILD_ID,
    .open = open_port,
    .start = start,
    .close = close_port,
    .rx_burst = rx_burst,
    .tx_burst = tx_burst,
    .is_up = is_up,
    .interrupt_fd = interrupt_fd,
    .arm = arm,
    .admit = admit,
    .losses = losses,
};
