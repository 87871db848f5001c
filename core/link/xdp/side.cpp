#include "link/xdp/side.h"

#include <sys/socket.h>

#include <cerrno>
#include <new>

namespace fastudp::xdp {
namespace {

status hear_errors(int socket, const steering& claims, reason& why) {
  const auto program = claims.tap_filter(steering::no_member);
  if (!program) return why.fail(program.code(), "no BPF program to hear ICMP errors by");
  return af_packet::filter_by_program(socket, program->number(), why);
}

status hear_groups(int socket, const af_packet::interface_facts& device, const mac_address& mac, reason& why) {
  if (auto done = af_packet::own_filter(socket, device.index, mac).attach(why); !done) return done;
  return af_packet::receive_for(socket, device, mac, why);
}

}  // namespace

result<std::unique_ptr<side>> side::open(const af_packet::interface_facts& device, const link_info& info,
                                         const steering& claims, pool& frames, counters& count, reason& why) {
  constexpr std::uint32_t slots = 256;
  auto socket = af_packet::open_socket(device, why);
  if (!socket) return socket.failure();
  const auto filtered =
      info.shared ? hear_errors(socket->number(), claims, why) : hear_groups(socket->number(), device, info.mac, why);
  if (!filtered) return filtered.failure();
  auto ring = af_packet::ring_v2::open(socket->number(), info.mtu + longest_link_header, slots, why);
  if (!ring) return ring.failure();
  if (auto started = af_packet::start(socket->number(), device, why); !started) return started.failure();
  std::unique_ptr<side> out(new (std::nothrow) side(std::move(*socket), std::move(*ring), frames, count, !info.shared));
  if (!out) return why.fail(ENOMEM, "no memory for a packet socket");
  if (!info.shared) out->filter_.emplace(out->number(), device.index, info.mac);
  return out;
}

bool side::arm() {
  if (intake_.is_amid_frame() || !ring_.is_empty()) return false;
  af_packet::forget_problem(number());
  return true;
}

}  // namespace fastudp::xdp
