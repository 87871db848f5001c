/* What fastudp-bpf.so keeps for one stack, and what its parts share. */
#pragma once

#include <bpf/libbpf.h>
#include <stddef.h>
#include <stdint.h>

#include "link/plugin.h"
#include "maps.h"

/* Which socket is counted in a place, and for how many. */
struct place {
  uint64_t cookie; /* 0: nobody's */
  uint32_t users;
};

/* Where a program is, and the BPF link that holds it there; none as long as nothing does. */
struct attachment {
  int link, program, interface;
  uint32_t type, flags;
};

struct state {
  int claims, taken, watched, steer, count;
  struct attachment at_tc, at_xdp;
  int sockets, redirect; /* of the program at XDP */
  uint64_t* counts;      /* mapped */
  struct place* places;  /* shared with children of fork */
  uint32_t next_place;
  struct bpf_insn* tap; /* the program, with a placeholder for its member */
  size_t tap_length;
};

int fail(int code, char* why, size_t why_size, const char* sentence);
int explain_load(int code, char* why, size_t why_size);
int program_fd(struct bpf_object* object, const char* name);
int map_fd(struct bpf_object* object, const char* name);
int out_of_the_way(int fd);
int attach_at(struct attachment* place, struct attachment where);

/* Whether our program is at XDP, by whatever process. */
int is_redirecting(const struct state* s);
/* Whose program at XDP that is, in words. 0: none that we can see. */
int find_holder(uint32_t program, char* out, size_t size);

int open_redirect(void* state, const struct fastudp_bpf_redirect* how, char* why, size_t why_size);
int redirect_to(void* state, unsigned queue, int socket);
int attach_redirect(void* state, int interface, int native, char* why, size_t why_size);
