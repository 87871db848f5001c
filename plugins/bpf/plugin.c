/* fastudp-bpf.so: loads the programs of steer.bpf.c with libbpf and serves libfastudp.so by a table. A shared object of its
 * own, so that the library itself depends on libc alone. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/plugin.h"
#include "state.h"

#define ATTACH_TCX_INGRESS 46 /* BPF_TCX_INGRESS of Linux 6.6 */

extern const char steer_object[], steer_object_end[];

int fail(int code, char* why, size_t why_size, const char* sentence) {
  snprintf(why, why_size, "%s (%s)", sentence, strerror(-code));
  return code;
}

int explain_load(int code, char* why, size_t why_size) {
  if (code == -EPERM || code == -EACCES) {
    return fail(-EPERM, why, why_size, "BPF programs may not be loaded: run as root, or with CAP_BPF and CAP_NET_ADMIN");
  }
  return fail(code, why, why_size, "this kernel doesn't take fastudp's BPF programs");
}

int program_fd(struct bpf_object* object, const char* name) {
  return bpf_program__fd(bpf_object__find_program_by_name(object, name));
}

int map_fd(struct bpf_object* object, const char* name) {
  return bpf_map__fd(bpf_object__find_map_by_name(object, name));
}

static size_t counts_size(void) { return FASTUDP_MOST_COUNTS * sizeof(uint64_t); }
static size_t places_size(void) { return FASTUDP_MOST_COUNTS * sizeof(struct place); }

static void close_state(void* state) {
  struct state* s = state;
  const int held[] = {s->at_tc.link, s->claims, s->taken,   s->watched, s->steer,
                      s->count,      s->sockets, s->redirect, s->at_xdp.link};
  for (size_t i = 0; i < sizeof held / sizeof *held; ++i) {
    if (held[i] >= 0) close(held[i]);
  }
  if (s->counts) munmap(s->counts, counts_size());
  if (s->places) munmap(s->places, places_size());
  free(s->tap);
  free(s);
}

/* Programs expect the lowest free numbers for themselves, and give select() sets of 1024. */
int out_of_the_way(int fd) {
  const int moved = fcntl(fd, F_DUPFD_CLOEXEC, 768);
  return moved >= 0 ? moved : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int is_wide_load(const struct bpf_insn* at) { return at->code == (BPF_LD | BPF_IMM | BPF_DW); }

static uint64_t constant_of(const struct bpf_insn* at) {
  return (uint32_t)at[0].imm | (uint64_t)(uint32_t)at[1].imm << 32;
}

/* The instructions as they were loaded, which name maps by descriptors that go with the object. */
static int keep_tap(struct state* s, struct bpf_object* object) {
  const struct bpf_program* loaded = bpf_object__find_program_by_name(object, "tap");
  s->tap_length = bpf_program__insn_cnt(loaded);
  s->tap = calloc(s->tap_length, sizeof *s->tap);
  if (!s->tap) return -ENOMEM;
  memcpy(s->tap, bpf_program__insns(loaded), s->tap_length * sizeof *s->tap);
  for (size_t i = 0; i < s->tap_length; ++i) {
    if (!is_wide_load(&s->tap[i]) || s->tap[i].src_reg != BPF_PSEUDO_MAP_FD) continue;
    s->tap[i].imm = s->tap[i].imm == map_fd(object, "claims") ? s->claims : s->taken;
  }
  return 0;
}

static int load(struct state* s) {
  struct bpf_object* object = bpf_object__open_mem(steer_object, (size_t)(steer_object_end - steer_object), NULL);
  if (!object) return -errno;
  int outcome = bpf_object__load(object);
  if (outcome == 0) {
    s->claims = out_of_the_way(map_fd(object, "claims"));
    s->taken = out_of_the_way(map_fd(object, "taken"));
    s->watched = out_of_the_way(map_fd(object, "watched"));
    s->steer = out_of_the_way(program_fd(object, "steer"));
    s->count = out_of_the_way(program_fd(object, "count"));
    void* mapped = mmap(NULL, counts_size(), PROT_READ | PROT_WRITE, MAP_SHARED, map_fd(object, "counts"), 0);
    if (mapped != MAP_FAILED) s->counts = mapped;
    const int numbers[] = {s->claims, s->taken, s->watched, s->steer, s->count, mapped != MAP_FAILED ? 0 : -1};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
      if (numbers[i] < 0) outcome = -errno;
    }
  }
  if (outcome == 0) outcome = keep_tap(s, object);
  bpf_object__close(object);
  return outcome;
}

static int open_state(void** state, char* why, size_t why_size) {
  libbpf_set_print(NULL); /* no function of ours: libbpf may stay where we are unloaded */
  struct state* s = calloc(1, sizeof *s);
  if (!s) return fail(-ENOMEM, why, why_size, "no memory for the BPF programs");
  s->at_tc.link = s->at_xdp.link = -1;
  s->claims = s->taken = s->watched = s->steer = s->count = s->sockets = s->redirect = -1;
  void* shared = mmap(NULL, places_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    free(s);
    return fail(-ENOMEM, why, why_size, "no memory for the BPF programs");
  }
  s->places = shared;
  const int loaded = load(s);
  if (loaded != 0) {
    close_state(s);
    return explain_load(loaded, why, why_size);
  }
  *state = s;
  return 0;
}

/* By a link, so that the program is gone with the last process that holds it. */
int attach_at(struct attachment* place, struct attachment where) {
  LIBBPF_OPTS(bpf_link_create_opts, how, .flags = where.flags);
  const int link = bpf_link_create(where.program, where.interface, (enum bpf_attach_type)where.type, &how);
  if (link < 0) return -errno;
  if (place->link >= 0) close(place->link);
  *place = where;
  place->link = out_of_the_way(link);
  close(link);
  return 0;
}

/* A link whose program was taken off, or whose interface is gone, has none any more. XDP's and TCX's tell alike. */
static int is_there(const struct attachment* place) {
  struct bpf_link_info info;
  uint32_t size = sizeof info;
  memset(&info, 0, sizeof info);
  return place->link < 0 || bpf_obj_get_info_by_fd(place->link, &info, &size) != 0 || info.xdp.ifindex != 0;
}

static int is_attached(void* state) {
  const struct state* s = state;
  return is_there(&s->at_tc) && is_there(&s->at_xdp);
}

/* At XDP EEXIST is for a program in the other mode, and EBUSY for any. */
static int attach_xdp_again(struct state* s) {
  const int code = attach_at(&s->at_xdp, s->at_xdp);
  if (code != -EEXIST && code != -EBUSY) return code;
  return is_redirecting(s) ? -EEXIST : -EBUSY;
}

static int attach_again(void* state) {
  struct state* s = state;
  int at_tc = -EEXIST, at_xdp = -EEXIST;
  if (!is_there(&s->at_tc)) at_tc = attach_at(&s->at_tc, s->at_tc);
  if (!is_there(&s->at_xdp)) at_xdp = attach_xdp_again(s);
  if (at_tc != 0 && at_tc != -EEXIST) return at_tc;
  return at_xdp == -EEXIST ? at_tc : at_xdp;
}

static int attach(void* state, int interface, char* why, size_t why_size) {
  struct state* s = state;
  const struct attachment tc = {.program = s->steer, .interface = interface, .type = ATTACH_TCX_INGRESS};
  const int code = attach_at(&s->at_tc, tc);
  if (code == 0) return 0;
  if (code == -ENODEV) return fail(code, why, why_size, "there is no such interface");
  if (code == -EPERM) return fail(code, why, why_size, "tc programs may not be attached: run as root, or with CAP_NET_ADMIN");
  return fail(-EOPNOTSUPP, why, why_size, "no TCX here: Linux 6.6 or newer has it");
}

static int tap_filter(void* state, unsigned member) {
  const struct state* s = state;
  struct bpf_insn* own = calloc(s->tap_length, sizeof *own);
  if (!own) return -ENOMEM;
  memcpy(own, s->tap, s->tap_length * sizeof *own);
  size_t found = 0;
  for (size_t i = 0; i + 1 < s->tap_length; ++i) {
    if (!is_wide_load(&own[i]) || own[i].src_reg != 0 || constant_of(&own[i]) != FASTUDP_MEMBER_PLACEHOLDER) continue;
    own[i].imm = (int32_t)member;
    own[i + 1].imm = 0;
    ++found;
  }
  const int made = found != 0 ? bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "tap", "Dual BSD/GPL", own, s->tap_length, NULL)
                              : -EINVAL;
  free(own);
  return made;
}

static struct claim_key key_of(const struct fastudp_bpf_claim* claim) {
  struct claim_key out;
  memset(&out, 0, sizeof out);
  memcpy(out.local, claim->local, sizeof out.local);
  out.local_port = htons(claim->local_port);
  if (claim->remote_port != 0) memcpy(out.remote, claim->remote, sizeof out.remote);
  out.remote_port = htons(claim->remote_port);
  return out;
}

struct shares {
  unsigned of[FASTUDP_MOST_MEMBERS], members;
};

static struct shares shares_in(const struct claim_members* claim) {
  struct shares out = {0};
  for (size_t i = 0; i < FASTUDP_SLOTS; ++i) out.members += out.of[claim->slot[i]]++ == 0;
  return out;
}

static unsigned richest(const struct shares* in) {
  unsigned found = 0;
  for (unsigned i = 1; i < FASTUDP_MOST_MEMBERS; ++i) found = in->of[i] > in->of[found] ? i : found;
  return found;
}

/* Of those that have any, but for one. */
static unsigned poorest_but(const struct shares* in, unsigned but) {
  unsigned found = but;
  for (unsigned i = 0; i < FASTUDP_MOST_MEMBERS; ++i) {
    if (i != but && in->of[i] != 0 && (found == but || in->of[i] < in->of[found])) found = i;
  }
  return found;
}

static void pass_slot(struct claim_members* claim, struct shares* now, unsigned from, unsigned to) {
  size_t at = 0;
  while (claim->slot[at] != from) ++at;
  claim->slot[at] = (__u8)to;
  --now->of[from];
  ++now->of[to];
}

static int add(void* state, const struct fastudp_bpf_claim* claim, unsigned member) {
  const struct claim_key key = key_of(claim);
  const int claims = ((struct state*)state)->claims;
  struct claim_members now;
  if (bpf_map_lookup_elem(claims, &key, &now) != 0) {
    memset(now.slot, (int)member, sizeof now.slot);
  } else {
    struct shares shares = shares_in(&now);
    if (shares.of[member] != 0) return -EEXIST;
    while (shares.of[member] < FASTUDP_SLOTS / (shares.members + 1)) pass_slot(&now, &shares, richest(&shares), member);
  }
  return bpf_map_update_elem(claims, &key, &now, BPF_ANY) == 0 ? 0 : -errno;
}

static void remove_from(int claims, const struct claim_key* key, unsigned member) {
  struct claim_members now;
  if (bpf_map_lookup_elem(claims, key, &now) != 0) return;
  struct shares shares = shares_in(&now);
  if (shares.of[member] == 0) return;
  if (shares.members == 1) {
    bpf_map_delete_elem(claims, key);
    return;
  }
  while (shares.of[member] != 0) pass_slot(&now, &shares, member, poorest_but(&shares, member));
  bpf_map_update_elem(claims, key, &now, BPF_EXIST);
}

static void remove_claim(void* state, const struct fastudp_bpf_claim* claim, unsigned member) {
  const struct claim_key key = key_of(claim);
  remove_from(((struct state*)state)->claims, &key, member);
}

/* A key that is gone already is followed by the first: so the next one is looked for before. */
static void remove_member(void* state, unsigned member) {
  const int claims = ((struct state*)state)->claims;
  struct claim_key key, next;
  for (int more = bpf_map_get_next_key(claims, NULL, &key); more == 0; key = next) {
    more = bpf_map_get_next_key(claims, &key, &next);
    remove_from(claims, &key, member);
  }
}

/* The place of a socket, or one that nobody is counted in; -1: there is none. */
static int64_t place_for(struct state* s, uint64_t cookie) {
  uint32_t known;
  if (bpf_map_lookup_elem(s->watched, &cookie, &known) == 0 && s->places[known].cookie == cookie) return known;
  for (uint32_t tries = 0; tries < FASTUDP_MOST_COUNTS; ++tries) {
    const uint32_t place = s->next_place++ % FASTUDP_MOST_COUNTS;
    if (s->places[place].cookie == 0) return place;
  }
  return -1;
}

static int watch(void* state, int socket, uint64_t** count) {
  struct state* s = state;
  uint64_t cookie;
  socklen_t size = sizeof cookie, own_filter = 0;
  if (getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) return -errno;
  const int64_t found = place_for(s, cookie);
  if (found < 0) return -ENOSPC;
  const uint32_t place = (uint32_t)found;
  struct place* own = &s->places[place];
  if (own->cookie == 0) {
    if (getsockopt(socket, SOL_SOCKET, SO_GET_FILTER, NULL, &own_filter) == 0 && own_filter != 0) return -EBUSY;
    if (bpf_map_update_elem(s->watched, &cookie, &place, BPF_ANY) != 0) return -errno;
    if (setsockopt(socket, SOL_SOCKET, SO_ATTACH_BPF, &s->count, sizeof s->count) != 0) return -errno;
    own->cookie = cookie;
  }
  ++own->users;
  *count = &s->counts[place];
  return 0;
}

static void unwatch(void* state, uint64_t* count) {
  struct state* s = state;
  struct place* own = &s->places[count - s->counts];
  if (--own->users != 0) return;
  bpf_map_delete_elem(s->watched, &own->cookie);
  own->cookie = 0;
}

__attribute__((visibility("default"))) const struct fastudp_bpf_table fastudp_bpf = {
    .size = sizeof(struct fastudp_bpf_table),
    .build_id = FASTUDP_BUILD_ID,
    .open = open_state,
    .close = close_state,
    .attach = attach,
    .is_attached = is_attached,
    .attach_again = attach_again,
    .tap_filter = tap_filter,
    .add = add,
    .remove = remove_claim,
    .remove_member = remove_member,
    .open_redirect = open_redirect,
    .redirect_to = redirect_to,
    .attach_redirect = attach_redirect,
    .watch = watch,
    .unwatch = unwatch,
};
