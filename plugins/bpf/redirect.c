/* Loads and attaches the program of redirect.bpf.c, which gives a link's AF_XDP sockets what is theirs. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "state.h"

extern const char redirect_object[], redirect_object_end[];

static const char program_name[] = "fastudp_xdp";

static struct bpf_prog_info facts_of(int program) {
  struct bpf_prog_info out;
  uint32_t size = sizeof out;
  memset(&out, 0, sizeof out);
  (void)bpf_obj_get_info_by_fd(program, &out, &size); /* which leaves it empty */
  return out;
}

static void name_of(uint32_t id, char* name, size_t size) {
  const int program = bpf_prog_get_fd_by_id(id);
  if (program < 0) return;
  snprintf(name, size, "%s", facts_of(program).name);
  close(program);
}

/* 0: none. */
static uint32_t program_at(int interface) {
  LIBBPF_OPTS(bpf_xdp_query_opts, now);
  if (bpf_xdp_query(interface, 0, &now) != 0 || now.attach_mode == XDP_ATTACHED_NONE) return 0;
  return now.prog_id ? now.prog_id : now.drv_prog_id ? now.drv_prog_id : now.skb_prog_id;
}

int is_redirecting(const struct state* s) { return program_at(s->at_xdp.interface) == facts_of(s->redirect).id; }

/* An interface has room for one program at XDP. */
static int is_taken(int interface, char* why, size_t why_size) {
  char name[BPF_OBJ_NAME_LEN] = "", holder[100] = "a process that can't be seen from here";
  const uint32_t id = program_at(interface);
  if (id == 0) return 0;
  name_of(id, name, sizeof name);
  const int is_seen = find_holder(id, holder, sizeof holder);
  if (strcmp(name, program_name) == 0) {
    snprintf(why, why_size, "another fastudp program has this interface by XDP already, %s: use packet: beside it", holder);
  } else {
    snprintf(why, why_size, "another XDP program ('%s', id %u%s%s) is attached: end it, or use packet: beside it", name, id,
             is_seen ? ", of " : "", is_seen ? holder : "");
  }
  return 1;
}

static int configure(struct bpf_object* object, const struct fastudp_bpf_redirect* how) {
  struct redirect_config config = {.longest = how->longest, .takes_all = how->takes_all != 0};
  memcpy(config.mac, how->mac, sizeof config.mac);
  struct bpf_map* constants = bpf_object__find_map_by_name(object, ".rodata");
  return constants ? bpf_map__set_initial_value(constants, &config, sizeof config) : -ENOENT;
}

static int load(struct state* s, const struct fastudp_bpf_redirect* how) {
  struct bpf_object* object = bpf_object__open_mem(redirect_object, (size_t)(redirect_object_end - redirect_object), NULL);
  if (!object) return -errno;
  int outcome = configure(object, how);
  if (outcome == 0) outcome = bpf_map__reuse_fd(bpf_object__find_map_by_name(object, "claims"), s->claims);
  if (outcome == 0) outcome = bpf_object__load(object);
  if (outcome == 0) {
    s->sockets = out_of_the_way(map_fd(object, "sockets"));
    s->redirect = out_of_the_way(program_fd(object, program_name));
    if (s->sockets < 0 || s->redirect < 0) outcome = -errno;
  }
  bpf_object__close(object);
  return outcome;
}

int open_redirect(void* state, const struct fastudp_bpf_redirect* how, char* why, size_t why_size) {
  if (is_taken(how->interface, why, why_size)) return -EBUSY;
  const int loaded = load(state, how);
  return loaded == 0 ? 0 : explain_load(loaded, why, why_size);
}

int redirect_to(void* state, unsigned queue, int socket) {
  const uint32_t key = queue, value = (uint32_t)socket;
  return bpf_map_update_elem(((struct state*)state)->sockets, &key, &value, BPF_ANY) == 0 ? 0 : -errno;
}

int attach_redirect(void* state, int interface, int native, char* why, size_t why_size) {
  struct state* s = state;
  const uint32_t flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  const struct attachment xdp = {.program = s->redirect, .interface = interface, .type = BPF_XDP, .flags = flags};
  const int code = attach_at(&s->at_xdp, xdp);
  if (code == 0) return 0;
  if (is_taken(interface, why, why_size)) return -EBUSY;
  if (code == -EPERM) return fail(code, why, why_size, "XDP programs may not be attached: run as root, or with CAP_NET_ADMIN");
  if (code == -ERANGE || code == -EINVAL) return fail(code, why, why_size, "the driver doesn't take it, perhaps for this MTU");
  return fail(code, why, why_size, "the driver doesn't take an XDP program");
}
