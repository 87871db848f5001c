/* fastudp-bpf.so: loads the programs of steer.bpf.c with libbpf and serves libfastudp.so by a table. A shared object of its
 * own, so that the library itself depends on libc alone. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/plugin.h"
#include "maps.h"

#define ATTACH_TCX_INGRESS 46 /* BPF_TCX_INGRESS of Linux 6.6 */

extern const char steer_object[], steer_object_end[];

struct state {
  int claims, watched, steer, tap, count, attached;
  uint64_t* counts;  /* mapped */
  uint64_t* cookies; /* of the socket that is counted in each place; 0: none */
  uint32_t next_place;
};

static int quiet(enum libbpf_print_level level, const char* format, va_list arguments) {
  (void)level, (void)format, (void)arguments;
  return 0;
}

static int fail(int code, char* why, size_t why_size, const char* sentence) {
  snprintf(why, why_size, "%s (%s)", sentence, strerror(-code));
  return code;
}

static int explain_load(int code, char* why, size_t why_size) {
  if (code == -EPERM || code == -EACCES) {
    return fail(-EPERM, why, why_size, "BPF programs may not be loaded: run as root, or with CAP_BPF and CAP_NET_ADMIN");
  }
  return fail(code, why, why_size, "this kernel doesn't take fastudp's BPF programs");
}

static int program_fd(struct bpf_object* object, const char* name) {
  return bpf_program__fd(bpf_object__find_program_by_name(object, name));
}

static int map_fd(struct bpf_object* object, const char* name) {
  return bpf_map__fd(bpf_object__find_map_by_name(object, name));
}

static size_t counts_size(void) { return FASTUDP_MOST_COUNTS * sizeof(uint64_t); }

static void close_state(void* state) {
  struct state* s = state;
  const int held[] = {s->attached, s->claims, s->watched, s->steer, s->tap, s->count};
  for (size_t i = 0; i < sizeof held / sizeof *held; ++i) {
    if (held[i] >= 0) close(held[i]);
  }
  if (s->counts) munmap(s->counts, counts_size());
  free(s->cookies);
  free(s);
}

/* Programs expect the lowest free numbers for themselves, and give select() sets of 1024. */
static int out_of_the_way(int fd) {
  const int moved = fcntl(fd, F_DUPFD_CLOEXEC, 768);
  return moved >= 0 ? moved : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int load(struct state* s) {
  struct bpf_object* object = bpf_object__open_mem(steer_object, (size_t)(steer_object_end - steer_object), NULL);
  if (!object) return -errno;
  int outcome = bpf_object__load(object);
  if (outcome == 0) {
    s->claims = out_of_the_way(map_fd(object, "claims"));
    s->watched = out_of_the_way(map_fd(object, "watched"));
    s->steer = out_of_the_way(program_fd(object, "steer"));
    s->tap = out_of_the_way(program_fd(object, "tap"));
    s->count = out_of_the_way(program_fd(object, "count"));
    void* mapped = mmap(NULL, counts_size(), PROT_READ | PROT_WRITE, MAP_SHARED, map_fd(object, "counts"), 0);
    if (mapped != MAP_FAILED) s->counts = mapped;
    if (mapped == MAP_FAILED || s->claims < 0 || s->watched < 0 || s->steer < 0 || s->tap < 0 || s->count < 0) {
      outcome = -errno;
    }
  }
  bpf_object__close(object);
  return outcome;
}

static int open_state(void** state, char* why, size_t why_size) {
  libbpf_set_print(quiet);
  struct state* s = calloc(1, sizeof *s);
  if (!s) return fail(-ENOMEM, why, why_size, "no memory for the BPF programs");
  s->attached = s->claims = s->watched = s->steer = s->tap = s->count = -1;
  s->cookies = calloc(FASTUDP_MOST_COUNTS, sizeof *s->cookies);
  if (!s->cookies) {
    free(s);
    return fail(-ENOMEM, why, why_size, "no memory for the BPF programs");
  }
  const int loaded = load(s);
  if (loaded != 0) {
    close_state(s);
    return explain_load(loaded, why, why_size);
  }
  *state = s;
  return 0;
}

/* A link, so that the program is gone with the last process that holds it. */
static int attach(void* state, int interface, char* why, size_t why_size) {
  struct state* s = state;
  const int link = bpf_link_create(s->steer, interface, (enum bpf_attach_type)ATTACH_TCX_INGRESS, NULL);
  const int code = -errno;
  if (link >= 0) {
    if (s->attached >= 0) close(s->attached);
    s->attached = out_of_the_way(link);
    close(link);
    return 0;
  }
  if (code == -ENODEV) return fail(code, why, why_size, "there is no such interface");
  if (code == -EPERM) return fail(code, why, why_size, "tc programs may not be attached: run as root, or with CAP_NET_ADMIN");
  return fail(-EOPNOTSUPP, why, why_size, "no TCX here: Linux 6.6 or newer has it");
}

static int tap_filter(void* state) { return ((struct state*)state)->tap; }

static struct claim_key key_of(const struct fastudp_bpf_claim* claim) {
  struct claim_key out;
  memset(&out, 0, sizeof out);
  memcpy(out.local, claim->local, sizeof out.local);
  out.local_port = htons(claim->local_port);
  if (claim->remote_port != 0) memcpy(out.remote, claim->remote, sizeof out.remote);
  out.remote_port = htons(claim->remote_port);
  return out;
}

static int add(void* state, const struct fastudp_bpf_claim* claim) {
  const struct claim_key key = key_of(claim);
  const uint32_t value = CLAIM_TAPPED;
  return bpf_map_update_elem(((struct state*)state)->claims, &key, &value, BPF_NOEXIST) == 0 ? 0 : -errno;
}

static void remove_claim(void* state, const struct fastudp_bpf_claim* claim) {
  const struct claim_key key = key_of(claim);
  const uint32_t hidden = 0;
  const int claims = ((struct state*)state)->claims;
  if (bpf_map_update_elem(claims, &key, &hidden, BPF_EXIST) == 0) bpf_map_delete_elem(claims, &key);
}

/* A place that nobody is counted in, or -1. */
static int64_t free_place(struct state* s) {
  for (uint32_t tries = 0; tries < FASTUDP_MOST_COUNTS; ++tries) {
    const uint32_t place = s->next_place++ % FASTUDP_MOST_COUNTS;
    if (s->cookies[place] == 0) return place;
  }
  return -1;
}

static int watch(void* state, int socket, uint64_t** count) {
  struct state* s = state;
  uint64_t cookie;
  socklen_t size = sizeof cookie, own_filter = 0;
  if (getsockopt(socket, SOL_SOCKET, SO_GET_FILTER, NULL, &own_filter) == 0 && own_filter != 0) return -EBUSY;
  if (getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) return -errno;
  const int64_t found = free_place(s);
  if (found < 0) return -ENOSPC;
  const uint32_t place = (uint32_t)found;
  if (bpf_map_update_elem(s->watched, &cookie, &place, BPF_ANY) != 0) return -errno;
  if (setsockopt(socket, SOL_SOCKET, SO_ATTACH_BPF, &s->count, sizeof s->count) != 0) return -errno;
  s->cookies[place] = cookie;
  *count = &s->counts[place];
  return 0;
}

static void unwatch(void* state, uint64_t* count) {
  struct state* s = state;
  uint64_t* cookie = &s->cookies[count - s->counts];
  bpf_map_delete_elem(s->watched, cookie);
  *cookie = 0;
}

__attribute__((visibility("default"))) const struct fastudp_bpf_table fastudp_bpf = {
    .size = sizeof(struct fastudp_bpf_table),
    .build_id = FASTUDP_BUILD_ID,
    .open = open_state,
    .close = close_state,
    .attach = attach,
    .tap_filter = tap_filter,
    .add = add,
    .remove = remove_claim,
    .watch = watch,
    .unwatch = unwatch,
};
