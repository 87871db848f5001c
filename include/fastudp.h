/* fastudp.h - UDP in user space, with the behaviour of Linux's sockets.
 *
 * Rules that hold for every function, unless it says otherwise:
 *
 *   Results   >= 0 is success, often a count; < 0 is -errno, with Linux's meaning. errno itself is not touched.
 *             Nothing here prints, aborts or exits.
 *   Threads   Any thread may call any function on any handle at any time; calls on one stack are serialised. Closing is
 *             the exception: the caller makes sure that no other call uses the handle then or later.
 *   Blocking  Only the functions that say "may block" do. They block as a blocking Linux socket does: until there is
 *             something to return, the socket's timeout has passed (-EAGAIN) or a signal was handled (-EINTR).
 *   Memory    Pointers are read or written during the call only. A null pointer where one is needed is -EFAULT.
 *   Progress  A stack does its work - receiving, answering ARP and ping, retransmitting - inside calls: any receive,
 *             send, poll or wait on it or on one of its sockets. A stack whose fastudp_socket_fd is in use has a helper
 *             thread that works for it while no call does.
 *   Time      Nanoseconds, as int64_t.
 *   Since     0.1 for everything in this file.
 *
 * Structs that begin with `size` are set to zero and then `size = sizeof the struct` by the caller; zero means the
 * default in every field, and they may grow at their end. All other structs are frozen.
 */
#ifndef FASTUDP_H
#define FASTUDP_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define FASTUDP_API __attribute__((visibility("default")))
#else
#define FASTUDP_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Types --------------------------------------------------------------------------------------------------- */

typedef struct fastudp_stack fastudp_stack;   /* one host: a link, its addresses, routes and neighbours */
typedef struct fastudp_socket fastudp_socket; /* one UDP socket on a stack */
typedef struct fastudp_link fastudp_link;     /* a bare link, for raw frames */
typedef struct fastudp_frame fastudp_frame;   /* a frame that the program has borrowed */

/* Values of fastudp_addr.family. */
#define FASTUDP_UNSPEC 0
#define FASTUDP_IPV4 4
#define FASTUDP_IPV6 6

/* An address and port. `bytes` is in network order, IPv4 in its first four; `port` is in host order. A socket of IPv6
 * has IPv4 addresses in their IPv4-mapped form, ::ffff:a.b.c.d, as on Linux; where it takes an address, IPv4's is as
 * good. */
typedef struct fastudp_addr {
  uint8_t bytes[16];
  uint32_t scope_id; /* of a link-local IPv6 address: the number of its interface; else 0 */
  uint16_t port;
  uint8_t family;
  uint8_t reserved; /* 0 */
} fastudp_addr;

/* One datagram of a burst. What each call reads and writes is said there. */
typedef struct fastudp_msg {
  void* data;           /* the payload, or room for it */
  uint32_t size;        /* bytes at `data` */
  uint32_t length;      /* received: the datagram's full length, which may exceed what was stored */
  fastudp_addr peer;    /* received: the sender; to send: the destination, or family 0 for the connected peer */
  void* control;        /* control messages in Linux's cmsg layout, or null */
  uint32_t control_len; /* bytes at `control`; received: bytes written */
  uint32_t flags;       /* received: FASTUDP_TRUNC when length > what was stored, FASTUDP_CTRUNC likewise */
  fastudp_frame* frame; /* zero copy: the borrowed frame that `data` points into */
} fastudp_msg;

/* Flags of send and receive: Linux's MSG_ values under our names. Flags that are not in this list are -EOPNOTSUPP. */
#define FASTUDP_PEEK 0x2           /* receive: leave the datagram in the queue */
#define FASTUDP_CTRUNC 0x8         /* in msg.flags: control messages did not fit */
#define FASTUDP_TRUNC 0x20         /* receive, single form: return the full length; in msg.flags: payload did not fit */
#define FASTUDP_DONTWAIT 0x40      /* this call does not block */
#define FASTUDP_CONFIRM 0x800      /* send: the peer is known to be alive, don't probe it */
#define FASTUDP_ERRQUEUE 0x2000    /* receive: from the error queue (IP_RECVERR) */
#define FASTUDP_NOSIGNAL 0x4000    /* accepted; UDP raises no signal */
#define FASTUDP_MORE 0x8000        /* send: a piece of a datagram; what follows goes with it (UDP_CORK) */
#define FASTUDP_ZEROCOPY 0x4000000 /* send: say on the error queue when `data` is no longer needed (SO_ZEROCOPY) */
#define FASTUDP_WAITFORONE 0x10000 /* accepted; receiving never waits for a second datagram */

/* Events of fastudp_socket_poll and fastudp_socket_wait: Linux's POLL values. */
#define FASTUDP_READABLE 0x1
#define FASTUDP_WRITABLE 0x4
#define FASTUDP_ERROR 0x8   /* a socket error or a queued ICMP error is waiting */
#define FASTUDP_HANGUP 0x10 /* shut down in both directions */
#define FASTUDP_EDGE 0x4000 /* in an item of fastudp_wait: only once something new has come */

/* Arguments of fastudp_socket_shutdown: Linux's SHUT_ values. */
#define FASTUDP_SHUT_RD 0
#define FASTUDP_SHUT_WR 1
#define FASTUDP_SHUT_RDWR 2

typedef struct fastudp_stack_config {
  size_t size;
  uint64_t seed;          /* seed of everything random; 0 = from the kernel */
  uint32_t hand_clock;    /* 1 = time stands still but for fastudp_stack_set_time; calls never block, -EAGAIN instead */
  uint32_t neighbours;    /* entries of the neighbour table; default 1024 */
  uint32_t spin_us;       /* microseconds that a blocking call polls before it sleeps; default 0, URI key spin */
  uint32_t strict;        /* 1 = what would hand a socket over to the kernel fails with -EOPNOTSUPP instead */
  const char* stats_file; /* counters live in this file and are added to its own; null: in memory */
  uint32_t may_bypass_firewall; /* 1 = auto: takes a fast link although the host's firewall has rules */
  uint32_t reserved;            /* 0 */
  const char* why_not_faster;   /* why it isn't a faster link, for fastudp_stack_explain; null: nothing is said */
} fastudp_stack_config;

typedef struct fastudp_stack_info {
  size_t size;
  char link[64];        /* scheme and device of the link */
  uint8_t mac[6];       /* our address on the link */
  uint16_t is_alone;    /* 1 = the addresses are the stack's, and no kernel's */
  uint32_t mtu;         /* bytes of the largest IP datagram in one frame */
  uint32_t frames;      /* frames that the link has in all */
  uint32_t frames_free; /* of these, neither queued, borrowed, nor laid out for what arrives next */
} fastudp_stack_info;

/* Counts since the stack was opened; rx and tx as programs see datagrams. Drops by reason: fastudp_stack_get_drops. */
typedef struct fastudp_stack_stats {
  size_t size;
  uint64_t rx_datagrams, tx_datagrams;
  uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
  uint64_t dropped;           /* the sum over all reasons */
  uint64_t neighbours;        /* entries in the neighbour table now */
  uint64_t parked;            /* packets that wait for address resolution now */
  uint64_t sockets;           /* sockets open now */
  uint64_t address_conflicts; /* how often another host was heard to use an address of ours (RFC 5227) */
  uint64_t lock_acquisitions; /* how often a call had to take the stack: once per burst, never per packet */
  /* Of rx_datagrams and tx_datagrams, and of the sockets ever opened: who carried them. */
  uint64_t rx_fast, rx_kernel, tx_fast, tx_kernel, sockets_fast, sockets_kernel;
} fastudp_stack_stats;

/* Values of *state in fastudp_stack_get_neighbour: the states of RFC 4861 section 7.3.2 and two of Linux's. */
#define FASTUDP_NEIGHBOUR_INCOMPLETE 1
#define FASTUDP_NEIGHBOUR_REACHABLE 2
#define FASTUDP_NEIGHBOUR_STALE 3
#define FASTUDP_NEIGHBOUR_DELAY 4
#define FASTUDP_NEIGHBOUR_PROBE 5
#define FASTUDP_NEIGHBOUR_FAILED 6
#define FASTUDP_NEIGHBOUR_PERMANENT 7

/* One thing to wait for in fastudp_wait: a socket of a stack, or else a descriptor of the caller's. */
typedef struct fastudp_wait_item {
  fastudp_socket* socket; /* null: `fd` counts */
  int32_t fd;             /* negative: passed over; with FASTUDP_EDGE the last arrival that the caller knows of */
  int16_t events;         /* Linux's POLL values, or a socket's with FASTUDP_EDGE */
  int16_t revents;        /* filled in: what is there */
} fastudp_wait_item;

/* ---- Library ------------------------------------------------------------------------------------------------- */

/* The library's version, "MAJOR.MINOR.PATCH". The text is static. */
FASTUDP_API const char* fastudp_version(void);

/* Reads "10.0.0.1", "10.0.0.1:53", ":53" (IPv4's any address), "2001:db8::1", "fe80::1%eth0" or "[2001:db8::1]:53" into
 * *addr. -EINVAL: not such a text. */
FASTUDP_API int fastudp_addr_parse(const char* text, fastudp_addr* addr);

/* Writes "10.0.0.1:53" or "[2001:db8::1]:53" with its terminator. Returns the length without it; -ENOSPC: `size` bytes
 * are too few; -EAFNOSUPPORT: no family that has a text form. */
FASTUDP_API int fastudp_addr_format(const fastudp_addr* addr, char* text, size_t size);

/* The name of drop reason `index`, such as "udp_checksum", or null past the last. The text is static. */
FASTUDP_API const char* fastudp_drop_name(size_t index);

/* Where drop reason `index` loses packets, or null past the last: "link" (the device, and its rings), "memory"
 * (frames), "stack" (what the protocols refuse) or "socket" (its queue). The text is static. */
FASTUDP_API const char* fastudp_drop_layer(size_t index);

/* What drop reason `index` means and what to do about it, in one line, or null past the last. The text is static. */
FASTUDP_API const char* fastudp_drop_text(size_t index);

/* The name of reason `index` for which datagrams or sockets go through the kernel, such as "unresolved", or null past
 * the last. The text is static. */
FASTUDP_API const char* fastudp_kernel_reason_name(size_t index);

/* What kernel reason `index` means and whether something can be done about it, in one line, or null past the last. The
 * text is static. */
FASTUDP_API const char* fastudp_kernel_reason_text(size_t index);

/* Adds up what all processes have counted in a file that was their config.stats_file: fills *stats as far as
 * stats->size goes (what only holds for one stack now is 0), and the first `drop_count` and `reason_count` counts by
 * drop reason and by kernel reason. `explanation` gets what fastudp_stack_explain said in the first of them. Arrays and
 * text may be null with 0. Returns how many processes counted. -ENOENT, -EACCES: the file; -EINVAL: not such a file, or
 * of another version. */
FASTUDP_API int fastudp_stats_read(const char* file, fastudp_stack_stats* stats, uint64_t* drops, size_t drop_count,
                                   uint64_t* reasons, size_t reason_count, char* explanation, size_t explanation_size);

/* ---- Stacks -------------------------------------------------------------------------------------------------- */

/* Opens a stack on the link that `uri` names, as scheme:device?key=value&key=value.
 *
 * Links: packet:IFNAME and xdp:IFNAME (an interface that the kernel keeps), tap:IFNAME (a TAP interface), dpdk:PORT (a
 * port of DPDK's), mem:NAME (a hub in this process; all that name it share it), host: (the kernel's sockets), loop:
 * (within this process), auto:[IFNAME] (the best). Keys for every link: address=A/LEN (ours, IPv4 or IPv6, or a list
 * with commas; may be left out on mem: and added later; the entry "auto" takes IPv6 addresses, routes, MTU and hop
 * limit from router advertisements, RFC 4862, and until one has come there is no way to other networks), gateway=A,
 * mac=M, mtu=N, spin=USEC, announce=off (do not probe and announce the address), vlan=VID, vlan_mode= and vlan_native=
 * (with an address of ours), capture=FILE (pcapng), and a bad network on what we transmit: loss=, duplicate=, reorder=,
 * corrupt= (percent), delay= (microseconds), seed=. The README lists what each link adds.
 *
 * `config` may be null. On failure one line that says what is wrong and what to do about it is stored in `why`
 * (`why_size` bytes; may be null and 0). On success *stack belongs to the caller until fastudp_stack_close. -EINVAL:
 * not a URI, an unknown scheme or key (named), a value that can't be; -ENODEV, -EPERM, -EBUSY, -ENOENT: from the
 * device; -ENOMEM; -E2BIG: `config` is of a newer version and asks for something that this library doesn't know. */
FASTUDP_API int fastudp_stack_open(fastudp_stack** stack, const char* uri, const fastudp_stack_config* config,
                                   char* why, size_t why_size);

/* Closes the stack, its link and what is parked or queued. Null is allowed.
 * -EBUSY: sockets are open or frames borrowed; nothing has happened then. */
FASTUDP_API int fastudp_stack_close(fastudp_stack* stack);

/* Adds an address of ours with the length of its on-link prefix, and its connected route. Unless announce=off, the
 * address is probed for and announced as RFC 5227 says. -EEXIST: have it; -EINVAL: not an address that a host may have;
 * -EAFNOSUPPORT: neither IPv4 nor IPv6; -ENOSPC: 64 addresses are there. */
FASTUDP_API int fastudp_stack_add_address(fastudp_stack* stack, const fastudp_addr* address, unsigned prefix_length);

/* Removes an address and its connected route; sockets bound to it stay and receive nothing. -EADDRNOTAVAIL: not ours.
 */
FASTUDP_API int fastudp_stack_remove_address(fastudp_stack* stack, const fastudp_addr* address);

/* Sends what matches `destination`/`prefix_length` by `gateway`, or on-link when that is null. Longest prefix wins.
 * -EEXIST: that prefix has a route; -ENETUNREACH: the gateway is not on-link; -EINVAL: bits beyond the prefix;
 * -ENOSPC: the table is full. */
FASTUDP_API int fastudp_stack_add_route(fastudp_stack* stack, const fastudp_addr* destination, unsigned prefix_length,
                                        const fastudp_addr* gateway);

/* Removes the route of exactly that prefix. -ESRCH: there is none. */
FASTUDP_API int fastudp_stack_remove_route(fastudp_stack* stack, const fastudp_addr* destination,
                                           unsigned prefix_length);

/* Adds or replaces a permanent neighbour, which is never resolved or probed. `mac` is 6 bytes. -ENOSPC: table full. */
FASTUDP_API int fastudp_stack_add_neighbour(fastudp_stack* stack, const fastudp_addr* address, const uint8_t* mac);

/* Forgets a neighbour, whatever its state; packets that wait for it are dropped. -ENOENT: not in the table. */
FASTUDP_API int fastudp_stack_remove_neighbour(fastudp_stack* stack, const fastudp_addr* address);

/* Looks a neighbour up: its address on the link in `mac` (6 bytes; zero while unknown) and its state, one of
 * FASTUDP_NEIGHBOUR_*, in *state. Either may be null. -ENOENT: not in the table. */
FASTUDP_API int fastudp_stack_get_neighbour(fastudp_stack* stack, const fastudp_addr* address, uint8_t* mac,
                                            uint32_t* state);

/* Does the work that is due: takes up to `budget` frames from the link (0: one burst), delivers, answers, runs timers,
 * transmits. Returns how many frames it took. */
FASTUDP_API int fastudp_stack_poll(fastudp_stack* stack, unsigned budget);

/* The caller has changed the host's network (addresses, routes, an interface's MTU), and what is known of it is looked
 * at again at once. Without it, what changes is seen some milliseconds later. Returns 0; nothing happens where the
 * stack has its own addresses. */
FASTUDP_API int fastudp_stack_host_changed(fastudp_stack* stack);

/* May block: sleeps until polling may find work or `timeout_ns` has passed (negative: no limit). Returns 1 or 0.
 * -EINTR: a signal was handled. With a hand-held clock it looks and returns at once. */
FASTUDP_API int fastudp_stack_wait(fastudp_stack* stack, int64_t timeout_ns);

/* A descriptor for the caller's own event loop: readable when fastudp_stack_poll may find work. Once it was asked for,
 * poll until that returns 0 before waiting on it. It belongs to the stack; don't read, write or close it. */
FASTUDP_API int fastudp_stack_fd(fastudp_stack* stack);

/* Nanoseconds until a timer makes fastudp_stack_poll necessary: 0 when it is due, INT64_MAX when none is set. */
FASTUDP_API int64_t fastudp_stack_deadline(fastudp_stack* stack);

/* Sets the hand-held clock to `now` (nanoseconds, its origin is the caller's). Polling then acts on it.
 * -EINVAL: the stack has a clock of its own, or `now` lies before the time that was set last. */
FASTUDP_API int fastudp_stack_set_time(fastudp_stack* stack, int64_t now);

/* Fills *info, as far as info->size goes. -EINVAL: size too small for its first field. */
FASTUDP_API int fastudp_stack_get_info(fastudp_stack* stack, fastudp_stack_info* info);

/* Fills *stats, as far as stats->size goes. Devices and the kernel are asked what they have lost until now, which is a
 * system call each and one for each socket with a half in the kernel. -EINVAL: size too small for its first field. */
FASTUDP_API int fastudp_stack_get_stats(fastudp_stack* stack, fastudp_stack_stats* stats);

/* Stores how many packets were dropped for each of the first `count` reasons, what devices and the kernel have lost
 * until now included. Returns how many reasons there are. */
FASTUDP_API int fastudp_stack_get_drops(fastudp_stack* stack, uint64_t* drops, size_t count);

/* Stores for each of the first `count` kernel reasons how many datagrams, and sockets when they were handed over, went
 * through the kernel for it. Returns how many reasons there are. */
FASTUDP_API int fastudp_stack_get_kernel_reasons(fastudp_stack* stack, uint64_t* counts, size_t count);

/* A few lines on which link was chosen, and why not a faster one. Returns the length. Stored with its terminator, cut
 * at `size`. */
FASTUDP_API int fastudp_stack_explain(fastudp_stack* stack, char* text, size_t size);

/* Makes what processes that fork from this one need to go on fast, each by a link of its own to the same interface, and
 * keeps it for all later forks. fork does it by itself, but a program that gives up its rights before that does it
 * first. -EOPNOTSUPP: it is a link for one process at a time; -EPERM: without the rights that opening it needs. */
FASTUDP_API int fastudp_stack_prepare_fork(fastudp_stack* stack);

/* Before this process is replaced by exec: what other processes receive as well is all theirs from then on. Sockets
 * that the new program inherits are handed over one by one (fastudp_socket_hand_over). Should exec fail, all goes on.
 */
FASTUDP_API int fastudp_stack_prepare_exec(fastudp_stack* stack);

/* Before this process is forbidden system calls: what only some processes need, by which they go on after a fork, is
 * done now, or never in this process and its children. fastudp(1) lists the calls that have to stay allowed. */
FASTUDP_API int fastudp_stack_prepare_sandbox(fastudp_stack* stack);

/* May block: sleeps until something is there for one of `count` items, or `timeout_ns` has passed (negative: no limit,
 * 0: only looks). Sockets must be of this stack; FASTUDP_ERROR and _HANGUP always count. `signal_mask`, if not null, is
 * a sigset_t that holds while it sleeps, as in ppoll. Returns how many items have something in revents; -EINTR.
 *
 * Arrivals at a socket (datagrams, errors, a shutdown) are numbered. With FASTUDP_EDGE something is there only if the
 * last one isn't number `fd`, which becomes its number; a negative `fd` knows of none. That is what an edge-triggered
 * member of an epoll set is told. What comes to a companion has no number: the kernel's own epoll tells of it. */
FASTUDP_API int fastudp_wait(fastudp_stack* stack, fastudp_wait_item* items, size_t count, int64_t timeout_ns,
                             const void* signal_mask);

/* ---- Sockets ------------------------------------------------------------------------------------------------- */

/* Opens a UDP socket; one of FASTUDP_IPV6 speaks IPv4 as well until IPV6_V6ONLY is set. On success *socket belongs to
 * the caller until fastudp_socket_close. -EAFNOSUPPORT: family is neither; -ENOMEM. */
FASTUDP_API int fastudp_socket_open(fastudp_stack* stack, int family, fastudp_socket** socket);

/* Opens a socket around a kernel UDP socket that the program holds: its companion. It keeps the port, takes what the
 * fast path doesn't, and shows whatever is bound, connected and set on it already. `fd` stays the caller's, and is
 * closed after fastudp_socket_close. On success *socket belongs to the caller until then. -ENOTSOCK, -EPROTONOSUPPORT:
 * not a UDP socket; -EAFNOSUPPORT: neither over IPv4 nor over IPv6; -ENOMEM. */
FASTUDP_API int fastudp_socket_adopt(fastudp_stack* stack, int fd, fastudp_socket** socket);

/* The descriptor of the companion, the kernel's half of this socket. Whatever is done with it behind fastudp's back
 * that changes the address must be told by fastudp_socket_hand_over. -EOPNOTSUPP: the stack has its own addresses, and
 * the socket no companion. */
FASTUDP_API int fastudp_socket_kernel_fd(fastudp_socket* socket);

/* Leaves the socket to the kernel alone, for good, since another process gets it or something was asked of it that
 * only the kernel can do; what lies in the fast queue is still received first. `reason` is the index of a kernel
 * reason. -EOPNOTSUPP: it has no companion, or the stack is strict. */
FASTUDP_API int fastudp_socket_hand_over(fastudp_socket* socket, size_t reason);

/* 1 if datagrams may take the fast path on this socket now, 0 if all go through the kernel. */
FASTUDP_API int fastudp_socket_is_fast(fastudp_socket* socket);

/* Counts datagrams that the caller moved through the companion's descriptor itself, for a kernel reason. */
FASTUDP_API int fastudp_socket_count(fastudp_socket* socket, uint64_t received, uint64_t sent, size_t reason);

/* Closes the socket; what is queued is gone. Null is allowed. -EBUSY: frames borrowed through it are still out. */
FASTUDP_API int fastudp_socket_close(fastudp_socket* socket);

/* Binds to an address of ours, to the any address, to a broadcast or multicast address; port 0 picks a free one from
 * 32768..60999. -EADDRINUSE: taken, by Linux's rules for wildcards, SO_REUSEADDR and SO_REUSEPORT; -EADDRNOTAVAIL: not
 * ours; -EINVAL: bound already; -EAFNOSUPPORT: another family. */
FASTUDP_API int fastudp_socket_bind(fastudp_socket* socket, const fastudp_addr* addr);

/* Fixes the peer: sends go there by default, only its datagrams are received from now on (what is queued stays). Binds
 * first when unbound. Family FASTUDP_UNSPEC disconnects. -ENETUNREACH: no route; -ENETDOWN: the device of an address of
 * our own is gone; -EACCES: a broadcast address without SO_BROADCAST; -EAGAIN: no free port; -EAFNOSUPPORT. */
FASTUDP_API int fastudp_socket_connect(fastudp_socket* socket, const fastudp_addr* addr);

/* The address and port that the socket is bound to, 0.0.0.0 and 0 before that. */
FASTUDP_API int fastudp_socket_local_addr(fastudp_socket* socket, fastudp_addr* addr);

/* The connected peer. -ENOTCONN: none. */
FASTUDP_API int fastudp_socket_peer_addr(fastudp_socket* socket, fastudp_addr* addr);

/* Ends receiving, sending or both, by FASTUDP_SHUT_*: then an empty blocking receive gives 0 datagrams and a send
 * -EPIPE. -ENOTCONN: not connected (it is shut down all the same, as on Linux); -EINVAL: another `how`. */
FASTUDP_API int fastudp_socket_shutdown(fastudp_socket* socket, int how);

/* Sets an option by Linux's numbers and layouts (SOL_SOCKET, IPPROTO_IP, IPPROTO_UDP of the system's headers).
 * The README lists them. -ENOPROTOOPT: not an option of this socket; -EINVAL: value or size; other errno as Linux. */
FASTUDP_API int fastudp_socket_set_option(fastudp_socket* socket, int level, int name, const void* value, size_t size);

/* Reads an option into `value`, which has *size bytes; stores how many were written in *size. Errors as above. */
FASTUDP_API int fastudp_socket_get_option(fastudp_socket* socket, int level, int name, void* value, size_t* size);

/* Sends a burst: of each message data[0..size) to its peer (family 0: the connected one); with UDP_SEGMENT, as an
 * option or a control message, as datagrams of that size, of which the last may be shorter. When it returns, all that
 * it counted has left or stands on the link's ring with the bell rung. Binds first when unbound. Returns how many were
 * sent; a failure after the first shows in the next call. Doesn't block: a datagram whose next hop isn't resolved yet
 * is parked. -EDESTADDRREQ: no destination; -EMSGSIZE: longer than a datagram, or than the path takes under
 * IP_PMTUDISC_DO, or a segment longer than the path takes; -ENETUNREACH: no route; -ENETDOWN: the device of an address
 * of our own was deleted; -EACCES: broadcast without SO_BROADCAST; -EINVAL: port 0, a control message that isn't known,
 * or more than 128 segments; -EPIPE: shut down; -ENOBUFS: the link took no more; -EOPNOTSUPP: a flag; or a pending ICMP
 * error (-ECONNREFUSED, …).
 *
 * Flags: FASTUDP_DONTWAIT and FASTUDP_NOSIGNAL change nothing; FASTUDP_CONFIRM; FASTUDP_MORE: this is a piece of a
 * datagram, which is held back until a send without it, or until UDP_CORK is taken out; what the first piece said of
 * peer and control holds for all; FASTUDP_ZEROCOPY: with SO_ZEROCOPY set, the error queue says that `data` is no longer
 * needed, which is so when the call returns, as it was copied. */
FASTUDP_API int fastudp_send(fastudp_socket* socket, const fastudp_msg* msgs, size_t count, int flags);

/* Receives a burst by copy: fills data[0..size), length, peer, flags and control of up to `count` messages, and sets
 * size to what was stored. With UDP_GRO a message may be several datagrams of one flow, and control says their size.
 * May block until there is one; never waits for a second. Returns how many; 0 after shutdown. -EAGAIN: none, and
 * FASTUDP_DONTWAIT or SO_RCVTIMEO; -EINTR; or a pending ICMP error, once (-ECONNREFUSED, …). */
FASTUDP_API int fastudp_recv(fastudp_socket* socket, fastudp_msg* msgs, size_t count, int flags);

/* Sends one datagram; `to` may be null when connected. Returns `size`. Errors as fastudp_send. */
FASTUDP_API int64_t fastudp_sendto(fastudp_socket* socket, const void* data, size_t size, int flags,
                                   const fastudp_addr* to);

/* Receives one datagram; `from` may be null. Returns the bytes stored, or the datagram's full length with
 * FASTUDP_TRUNC. May block. Errors as fastudp_recv. */
FASTUDP_API int64_t fastudp_recvfrom(fastudp_socket* socket, void* data, size_t size, int flags, fastudp_addr* from);

/* Receives a burst without copying: each message's data and size are the payload in the frame it came in, frame is the
 * handle; the caller may read and write data[0..size) until it gives the message to fastudp_release. Datagrams come one
 * by one, but for those that the kernel has joined for its half of a socket with UDP_GRO. Frames are
 * limited: holding many makes others be copied. May block; result and errors as fastudp_recv. FASTUDP_PEEK is
 * -EOPNOTSUPP. */
FASTUDP_API int fastudp_borrow(fastudp_socket* socket, fastudp_msg* msgs, size_t count, int flags);

/* Takes empty frames to be filled and submitted: data points to room for size bytes (on entry: how many are wanted).
 * Returns how many messages got one. -EMSGSIZE: more than a frame holds; -ENOBUFS: no frame free. */
FASTUDP_API int fastudp_alloc(fastudp_socket* socket, fastudp_msg* msgs, size_t count);

/* Sends messages from fastudp_alloc or fastudp_borrow without copying: of each data[0..size), where data must still lie
 * in its frame with at least 70 bytes before it. Frames of messages that were sent are gone (frame is set to null); the
 * rest stay the caller's. Returns how many were sent; errors as fastudp_send; -EINVAL: data outside of its frame. */
FASTUDP_API int fastudp_submit(fastudp_socket* socket, fastudp_msg* msgs, size_t count, int flags);

/* Gives borrowed or allocated frames back, without waiting for the stack: messages with a null frame are passed over,
 * and frame is set to null. Returns how many were given back. */
FASTUDP_API int fastudp_release(fastudp_msg* msgs, size_t count);

/* What is ready now, as a sum of FASTUDP_READABLE, _WRITABLE, _ERROR, _HANGUP. Looks at the link first. */
FASTUDP_API int fastudp_socket_poll(fastudp_socket* socket);

/* Bytes of the datagram that the next receive returns, as FIONREAD tells them: 0 also without one, or when it is empty.
 * A pending error stays for the call that moves data, and where a look begins (SO_PEEK_OFF) has no part in it. */
FASTUDP_API int64_t fastudp_socket_next_length(fastudp_socket* socket);

/* May block: until one of `events` is there or `timeout_ns` has passed (negative: no limit). FASTUDP_ERROR and _HANGUP
 * always count. Returns what is ready, 0 at the deadline; -EINTR. */
FASTUDP_API int fastudp_socket_wait(fastudp_socket* socket, int events, int64_t timeout_ns);

/* A descriptor that is readable exactly while the socket has something to receive (or an error). The first call starts
 * the stack's helper thread, except with a hand-held clock. It belongs to the socket; don't read, write or close it.
 * -EAGAIN: no thread could be started; -EMFILE. */
FASTUDP_API int fastudp_socket_fd(fastudp_socket* socket);

/* One line on why the last refused call on this socket was refused and what to do about it. Returns its length, 0 when
 * there is nothing to say. Stored with its terminator, cut at `size`. */
FASTUDP_API int fastudp_socket_why(fastudp_socket* socket, char* text, size_t size);

/* ---- Raw frames ---------------------------------------------------------------------------------------------- */

/* Opens a link without a stack: whole Ethernet frames in and out. Same URIs, without address, gateway, spin and
 * announce; on mem: it sees every frame of the hub. `why` and errors as in fastudp_stack_open. On success *link
 * belongs to the caller until fastudp_link_close. */
FASTUDP_API int fastudp_link_open(fastudp_link** link, const char* uri, char* why, size_t why_size);

/* Closes the link; received frames that nobody has taken are gone. Null is allowed. */
FASTUDP_API int fastudp_link_close(fastudp_link* link);

/* Transmits one frame. Returns `size`. -EINVAL: shorter than an Ethernet header, 14 bytes; -EMSGSIZE: longer than the
 * link's MTU and headers; -ENOBUFS: not taken. */
FASTUDP_API int64_t fastudp_link_send(fastudp_link* link, const void* frame, size_t size);

/* Stores one received frame, cut at `size`, and returns its full length. -EAGAIN: none is there. */
FASTUDP_API int64_t fastudp_link_recv(fastudp_link* link, void* frame, size_t size);

/* May block: until a frame is there or `timeout_ns` has passed (negative: no limit). Returns 1 or 0; -EINTR. */
FASTUDP_API int fastudp_link_wait(fastudp_link* link, int64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif
