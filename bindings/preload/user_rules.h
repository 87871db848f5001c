#pragma once
// What the user's rules (FASTUDP_RULES) say of this program's sockets.

#include <fastudp.h>

#include "../rules/rules.h"

namespace preload {
class call;
}

namespace preload::user_rules {

// At the start: later the program may not reach the file. One that is wrong leaves all to the kernel.
void read(const char* path);

// Of a socket that is just being adopted, `local` being where it is bound already.
bool is_kernels(const fastudp_addr& local);
// About to be bound by the program, or connected: what the rules say is done. False: they refuse it, errno is set.
bool before_binding(const call& c, const fastudp_addr& to);
bool before_connecting(const call& c, const fastudp_addr& to);
// Of a single datagram.
bool goes_by_kernel(const call& c, const fastudp_addr& to);

}  // namespace preload::user_rules
