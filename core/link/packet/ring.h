#pragma once
// Where frames come in, as the key ring= chooses. Each kind has next(frame), give_back() of the frame that it gave, and
// is_empty(); who visits it does so once for a burst.

#include <string_view>
#include <variant>

#include "link/packet/ring_v2.h"
#include "link/packet/ring_v3.h"
#include "link/packet/socket_queue.h"

namespace fastudp::af_packet {

using ring = std::variant<socket_queue, ring_v2, ring_v3>;

// `kind` is v2, v3 or off; EINVAL when it is something else. Frames of up to `frame` bytes are the usual ones. Before
// the socket is bound.
result<ring> open_ring(std::string_view kind, int socket, std::uint32_t frame, reason& why);

}  // namespace fastudp::af_packet
