/* The table by which fastudp-dpdk.so serves libfastudp.so. Both come from one build, which the build id makes sure of;
 * so it may change with every release. Results are 0 or -errno, and then a sentence is stored in `why`.
 *
 * A frame is an mbuf from the port to the user: behind each mbuf's header stand FASTUDP_DPDK_PACKET bytes of the
 * core's, its `packet`. The mempool that ports and drivers allocate from has no list of its own: it takes from the
 * core's pool and gives back to it. One thread at a time uses a port, but frames may come back on any. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FASTUDP_DPDK_PACKET 64
#define FASTUDP_DPDK_QUEUES 64

/* What is known of the transport checksum of a received frame. To be sent: PARTIAL is a UDP datagram for the port to
 * complete, anything else goes as it is. */
enum { FASTUDP_DPDK_UNKNOWN, FASTUDP_DPDK_VERIFIED, FASTUDP_DPDK_PARTIAL };

struct fastudp_dpdk_frame {
  void* packet;
  uint32_t begin, length;
  uint8_t checksum;
  uint8_t link_header, ip_header; /* lengths of a PARTIAL one's, to be sent */
};

/* The core's pool, as the mempool sees it. */
struct fastudp_dpdk_pool {
  void* self;
  void (*adopt)(void* self, void* packet, void* buffer);
  void* (*take)(void* self); /* null: none is left */
  void (*release)(void* self, void* packet);
  void (*release_from_any_thread)(void* self, void* packet);
  uint32_t (*available)(void* self);
};

struct fastudp_dpdk_info {
  char driver[32];
  uint8_t mac[6];
  uint32_t mtu, least_mtu, most_mtu;
  int can_sum;     /* it completes UDP checksums */
  uint32_t queues; /* so many at most, by which it receives */
  int interface;   /* the host's number of the device, or 0 */
};

struct fastudp_dpdk_start {
  struct fastudp_dpdk_pool pool;
  uint32_t frames, frame_size; /* to be adopted besides those that receive rings hold, each of so many bytes */
  uint32_t queues;             /* to receive by, FASTUDP_DPDK_QUEUES at most */
  uint32_t mtu;
  int change_mtu;       /* the device has another one */
  int has_own_mac;      /* `mac` isn't the device's */
  int may_change_mac;   /* nobody else uses the device's */
  int verify_checksums; /* where the device can */
  int sum;              /* it is to complete those of frames that are PARTIAL */
  uint8_t mac[6];
};

/* Since the port was started. */
struct fastudp_dpdk_losses {
  uint64_t ring_full, no_frames, errors;
};

struct fastudp_dpdk_table {
  size_t size;
  const char* build_id;
  /* A port by its PCI address, or a virtual device by its arguments. Starts DPDK if it isn't, with `eal` (or null)
   * besides the default options. EBUSY: the port is in use; ENODEV: there is none. */
  int (*open)(const char* device, const char* eal, void** port, struct fastudp_dpdk_info* info, char* why,
              size_t why_size);
  int (*start)(void* port, const struct fastudp_dpdk_start* with, char* why, size_t why_size);
  /* EBUSY: it is closed, but others still have frames, so that the pool has to stay for ever. */
  int (*close)(void* port);
  uint32_t (*rx_burst)(void* port, uint32_t queue, struct fastudp_dpdk_frame* out, uint32_t room);
  /* Takes a prefix; what is taken is the port's. */
  uint32_t (*tx_burst)(void* port, const struct fastudp_dpdk_frame* in, uint32_t count);
  int (*is_up)(void* port);
  /* A descriptor that, after arm(), becomes readable anew when frames come by the queue, or -1 where it has no
   * interrupts. Several may have one. It isn't read. */
  int (*interrupt_fd)(void* port, uint32_t queue);
  void (*arm)(void* port);
  /* All groups, or none but these. */
  void (*admit)(void* port, const uint8_t (*groups)[6], uint32_t count, int all);
  void (*losses)(void* port, struct fastudp_dpdk_losses* out);
};

#define FASTUDP_DPDK_TABLE "fastudp_dpdk"

#ifdef __cplusplus
}
#endif
