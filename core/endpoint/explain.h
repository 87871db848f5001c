#pragma once
// Errno values in the words of the person who has to do something about them.

#include "base/reason.h"
#include "stack/flow.h"

namespace fastudp {

// One line on why `call` on an address was refused with `code`.
void explain(reason& why, const char* call, int code, const endpoint_address& about);

// The same for a socket option.
void explain_option(reason& why, int level, int name, int code);

}  // namespace fastudp
