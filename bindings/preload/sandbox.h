#pragma once
// Programs that forbid themselves system calls (seccomp), and would be killed for ours.

#include <linux/filter.h>

namespace preload {

// Called before a filter takes effect; null: the mode that allows hardly anything. What the fast path calls that the
// filter forbids makes all sockets the kernel's, for good. False, with errno, when the user doesn't allow that.
bool before_filter(const sock_fprog* filter);

}  // namespace preload
