#pragma once
// Receiving, as far as other hooks need it.

#include <fastudp.h>

#include <cstddef>

#include "call.h"

namespace preload {

// Blocks as the descriptor says; goes on after a signal as Linux would. Returns how many, or -errno.
int receive(const call& c, fastudp_msg* messages, std::size_t count, int flags);

}  // namespace preload
