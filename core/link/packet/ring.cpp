#include "link/packet/ring.h"

#include <cerrno>

namespace fastudp::af_packet {
namespace {

// Fewer slots where frames are very long, so that a ring never takes more than 64 MiB.
std::uint32_t slots_for(std::uint32_t frame) { return frame < 16'000 ? 4096 : 512; }

template <typename Kind>
result<ring> as_ring(result<Kind>&& opened) {
  if (!opened) return opened.failure();
  return ring(std::move(*opened));
}

}  // namespace

result<ring> open_ring(std::string_view kind, int socket, std::uint32_t frame, reason& why) {
  if (kind == "v2") return as_ring(ring_v2::open(socket, frame, slots_for(frame), why));
  if (kind == "v3") return as_ring(ring_v3::open(socket, why));
  if (kind == "off") return as_ring(socket_queue::open(socket, why));
  return why.fail(EINVAL, "ring=%.*s: write v2, v3 or off", static_cast<int>(kind.size()), kind.data());
}

}  // namespace fastudp::af_packet
