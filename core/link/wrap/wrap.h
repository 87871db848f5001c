#pragma once
// Links around a link, asked for in the URI: vlan (tags) around capture (what the wire saw, as pcapng) around impair (a
// bad network).

#include "base/counters.h"
#include "base/reason.h"
#include "base/result.h"
#include "link/link.h"
#include "link/uri.h"

namespace fastudp::wrap {

// The link itself when the URI asks for no wrapper. Keys: vlan, vlan_mode and vlan_native (VIDs); capture (a file); for
// what is transmitted, loss, duplicate, reorder, corrupt (percent), delay (microseconds) and seed.
result<link_ptr> around(link_ptr inner, uri& where, counters& count, reason& why);

}  // namespace fastudp::wrap
