#pragma once
// fastudp in this process: the one stack, opened by the first UDP socket, and which descriptors and calls are its own.

#include <fastudp.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "inside.h"

namespace preload {

// Why a datagram or socket goes to the kernel at our hands.
enum class cause { option, nested, forked, rule, sandbox };

namespace library {

// Null: not opened yet, or it could not be. Then every socket is the kernel's.
fastudp_stack* stack();
std::size_t reason(cause why);
// The stack's addresses are its own: no kernel has them.
bool is_alone();

// Makes a kernel socket over IPv4 ours, and opens the stack if need be. 0; or -errno, and then it is the kernel's.
// -EOPNOTSUPP: the user insists on a stack (FASTUDP_STRICT), and there is none.
int adopt(int fd);
// Sockets that are made from now on are the kernel's.
void adopt_no_more();

// Before the program gives up what the stack needs to be opened: its user, its root, its system calls.
void open_while_allowed();

// From the lowest to the highest of all code of fastudp's that there ever was.
extern std::atomic<std::uintptr_t> lowest, highest;
// Whether the code at this address is fastudp's: its calls pass through the hooks like anybody's.
bool is_within(const void* code);
inline bool contains(const void* code) {
  const auto at = reinterpret_cast<std::uintptr_t>(code);
  const bool may_be = at >= lowest.load(std::memory_order_relaxed) && at < highest.load(std::memory_order_relaxed);
  return may_be ? is_within(code) : thread_is_opening();
}
// False in a child of vfork, which shares our memory but not our descriptors, and mustn't change what is known of them.
bool is_at_home();

// What is due before the program forks without the rights that it has now, before another takes its place, and before
// system calls are forbidden.
void will_lose_rights();
void will_exec();
void will_be_confined();
// Whether the user lets the fast path's system calls pass through the programs' own filters.
bool may_extend_sandboxes();

// A descriptor that the library has made goes out of the program's way; the number it has from now on.
int keep(int fd);

}  // namespace library
}  // namespace preload
