// UDP_CORK and MSG_MORE: what happens to each piece, as Linux's ip_append_data has it.

#include <cerrno>

#include "socket/udp_layer.h"
#include "socket/udp_socket.h"

namespace fastudp {

// What Linux decides when the first piece comes. Over IPv4 TTL and type of service are decided when the datagram goes.
send_choices udp_socket::choices_to_hold(const departure& by, const send_choices& choices) const {
  send_choices out = choices;
  out.leave_from(by.way->source);
  if (out.segment < 0) out.segment = settings_.segment;
  out.completes = false;  // each piece for itself
  if (!by.way->is_v4()) {
    out.hops = by.ip.ttl;
    out.traffic_class = by.ip.tos;
  }
  return out;
}

// A datagram that the path won't take is dropped at the piece by which it became so long.
status udp_socket::check_next_piece(std::size_t size, time_point now) {
  const endpoint_address& to = cork_.to();
  const auto way = path_to(to.address, source_for(to.address, cork_.choices()), now);
  if (!way || (*way)->kind == path_kind::kernel) return {};
  const std::size_t total = cork_.payload().size() + size + udp_size + (*way)->ip_size();
  return check_size(**way, choices_for(**way, cork_.choices(), total), cork_.choices().segment != 0, total, to);
}

status udp_socket::send_piece(std::span<const std::byte> payload, const endpoint_address* to,
                              const send_choices& choices, bool more, time_point now) {
  constexpr std::size_t longest = 65'535;
  if (payload.data() == nullptr && !payload.empty()) return error{EFAULT};
  status fits;
  if (!cork_.is_holding()) {
    const auto by = prepare(payload.size(), to, choices, now, extent::first_piece);
    if (!by) return by.failure();
    auto begun = cork_.begin(by->to, choices_to_hold(*by, choices), layer_.below().store());
    if (!begun) return begun;
  } else {
    // Before Linux looks at what is held.
    const ip_address& address = to != nullptr ? to->address : cork_.to().address;
    if (address.is_v4() && !check_family(address)) return error{ENETUNREACH};
    if (address.is_v4() && payload.size() > longest) return error{EMSGSIZE};
    if (address.is_v4() && !cork_.to().address.is_v4()) return error{EINVAL};
    fits = check_next_piece(payload.size(), now);
    if (fits.code() == left_to_kernel) return fits;
  }
  if (fits) fits = cork_.add(payload, choices.completes);
  if (!fits) {
    cork_.discard();
    complete_sends(cork_.completes());
    return fits;
  }
  return more ? status{} : push(now);
}

// The frames that Linux would have lent are done with, whatever becomes of the datagram.
status udp_socket::push(time_point now) {
  const auto sent = push_held(now);
  if (!cork_.is_holding()) complete_sends(cork_.completes());
  return cork_.excuse(sent);
}

status udp_socket::push_held(time_point now) {
  const auto by = prepare(cork_.payload().size(), &cork_.to(), cork_.choices(), now, extent::all_pieces);
  if (by.code() == left_to_kernel) return by.failure();
  packet* p = cork_.take();
  if (!by) return release(p), by.failure();
  if (by->segment != 0) {
    const auto sent = send_segments(*by, p->bytes(), now);
    release(p);
    return sent;
  }
  p->joins = joining::alone;
  write_header(*by, p, {});
  return depart(*by, p, now);
}

}  // namespace fastudp
