/* The table by which fastudp-bpf.so serves libfastudp.so. Both come from one build, which the build id makes sure of;
 * so it may change with every release. All calls but open, attach, attach_again, tap_filter and those that redirect
 * work without privileges. Results are 0 or -errno. What changes claims or watches is called by one process at a time
 * of those that share the state by fork.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A flow as the programs look it up: IPv4 as ::ffff:a.b.c.d, ports in host order; remote_port 0 is any peer. */
struct fastudp_bpf_claim {
  uint8_t local[16], remote[16];
  uint16_t local_port, remote_port;
};

/* Which frames of an interface go to AF_XDP sockets: those to this MAC address that aren't longer, and are claimed
 * unless it takes all. */
struct fastudp_bpf_redirect {
  int interface;
  uint32_t longest;
  uint8_t mac[6];
  uint8_t takes_all;
};

struct fastudp_bpf_table {
  size_t size;
  const char* build_id;
  /* Loads all programs. On failure a sentence is stored in `why`. */
  int (*open)(void** state, char* why, size_t why_size);
  void (*close)(void* state);
  int (*attach)(void* state, int interface, char* why, size_t why_size);
  /* What was attached, at tc or at XDP: whether it still is, which needs no privilege; and to the same place again.
   * EEXIST: another process that shares the state has done it. ENODEV: the interface is gone. */
  int (*is_attached)(void* state);
  int (*attach_again)(void* state);
  int (*tap_filter)(void* state, unsigned member); /* a descriptor, the caller's to close */
  int (*add)(void* state, const struct fastudp_bpf_claim* claim, unsigned member);
  void (*remove)(void* state, const struct fastudp_bpf_claim* claim, unsigned member);
  void (*remove_member)(void* state, unsigned member); /* from all claims */
  /* At XDP: loaded, told of a socket for each queue, and then attached, by the driver (native) or by the kernel behind
   * it. EBUSY: another program is there. */
  int (*open_redirect)(void* state, const struct fastudp_bpf_redirect* how, char* why, size_t why_size);
  int (*redirect_to)(void* state, unsigned queue, int socket);
  int (*attach_redirect)(void* state, int interface, int native, char* why, size_t why_size);
  int (*watch)(void* state, int socket, uint64_t** count);
  void (*unwatch)(void* state, uint64_t* count);
};

#define FASTUDP_BPF_TABLE "fastudp_bpf"

#ifdef __cplusplus
}
#endif
