// What is told beside the payload: of each datagram, and in the error queue of ICMP errors, stamps of what was sent,
// and sends that are done.

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "endpoint/control.h"
#include "endpoint/endpoint.h"
#include "endpoint/facts.h"
#include "endpoint/stamps.h"

namespace fastudp {

// Linux finds out where a datagram of IPv4 came in when it queues it.
void endpoint::put_place(control_writer& out, const packet& datagram) const {
  const ip_facts facts = facts_of(datagram);
  const bool is_placed = datagram.is_placed || !facts.destination.is_v4();
  put_facts(out, facts, is_placed ? interface(facts.destination) : 0,
            is_placed ? facts.destination : ip_address::any(ip_family::v4), socket_.settings(),
            port_at(datagram.frame + datagram.transport));
}

void endpoint::fill_control(message& m, packet& datagram) const {
  const socket_settings& wanted = socket_.settings();
  if (!wanted.wants_control()) {
    m.control = m.control.first(0);
    return;
  }
  control_writer out(m.control);
  put_stamps(out, wanted.stamps, stamp_of(datagram), false);
  const std::uint32_t lost = wanted.receive_drops ? datagram.drops + kernels_drops_ : 0;
  if (lost != 0) out.put(SOL_SOCKET, SO_RXQ_OVFL, lost);
  // What somebody marks is sent, and so received, by the kernel.
  if (wanted.receive_mark) out.put(SOL_SOCKET, SO_MARK, std::uint32_t{0});
  if (wanted.receive_joined && joined_to(datagram) != nullptr)
    out.put(IPPROTO_UDP, UDP_GRO, static_cast<int>(datagram.length));
  if (wanted.wants_facts()) put_place(out, datagram);
  m.control = m.control.first(out.size());
  if (out.is_truncated()) m.flags |= message_flag::control_truncated;
}

// When the packet socket, or whoever looked at the clock, saw it; whatever came before anybody asked came just now.
std::int64_t endpoint::stamp_of(packet& datagram) const {
  const bool is_asked_for = socket_.settings().stamps.wanted;
  if (datagram.stamp == 0 && is_asked_for) datagram.stamp = engine_.time().wall();
  return is_asked_for || socket_.layer().stamps() ? datagram.stamp : 0;
}

// Linux has no local address there, that is, none for an answer; and tells the present of what has no time of its own.
void endpoint::put_icmp(control_writer& out, const queued_error& e, std::span<const std::byte> quoted) const {
  const ip_address nowhere = ip_address::any(ip_family::v4);
  const stamp_settings& stamps = socket_.settings().stamps;
  const std::int64_t at = e.stamp == 0 && stamps.wanted ? engine_.time().wall() : e.stamp;
  put_stamps(out, stamps, at, e.is_completion());
  if (e.is_icmp())
    put_facts(out, e.message, interface(e.message.destination), nowhere, socket_.settings(), port_at(quoted));
  put_report(out, e, family(), e.is_icmp(), interface(e.message.destination));
}

// The stamp of what was sent. Of the datagram itself Linux tells a socket of IPv6 always, and one of IPv4 with
// SOF_TIMESTAMPING_OPT_CMSG.
void endpoint::put_departure(control_writer& out, queued_error e, std::span<const std::byte> frame) const {
  const socket_settings& own = socket_.settings();
  put_stamps(out, own.stamps, e.stamp, true);
  const bool is_v6 = family() == ip_family::v6;
  const bool tells_facts = !frame.empty() && (is_v6 || (own.stamps.flags & stamping::with_facts) != 0);
  if (tells_facts) {
    const std::size_t ip_header = e.message.source.is_v4() ? ipv4_size : ipv6_size;
    const int left_by = engine_.with_host() == sharing::loopback ? loopback_interface : engine_.device().interface;
    const ip_address local = is_v6 ? ip_address::any(ip_family::v4) : e.message.source;
    put_facts(out, e.message, left_by, local, own, port_at(frame.subspan(ethernet_size + ip_header)));
  }
  e.offender = e.message.source;
  put_report(out, e, family(), tells_facts, interface(e.message.source));
}

// As Linux: the payload that was quoted, where the datagram was going, and who reported it in a control message.
status endpoint::fill_error(message& m) {
  queued_error e;
  packet* quoted = socket_.pop_error(e);
  if (quoted == nullptr) return error{EAGAIN};
  const bool is_stamp = e.origin == SO_EE_ORIGIN_TIMESTAMPING;
  const std::size_t stored = std::min<std::size_t>(m.data.size(), quoted->length);
  if (stored != 0) std::memcpy(m.data.data(), quoted->data(), stored);
  m.data = m.data.first(stored);
  m.length = quoted->length;
  m.peer = e.destination;
  if (m.peer.address.is_link_local()) m.peer.scope = static_cast<std::uint32_t>(interface(m.peer.address));
  m.has_peer = !is_stamp && !e.is_completion();
  m.flags = message_flag::error_queue | (stored < quoted->length ? message_flag::truncated : 0);
  control_writer out(m.control);
  is_stamp ? put_departure(out, e, quoted->bytes()) : put_icmp(out, e, quoted->bytes());
  m.control = m.control.first(out.size());
  if (out.is_truncated()) m.flags |= message_flag::control_truncated;
  release(quoted);
  return {};
}

// What is told of sends from here, their stamps and that they are done, where ICMP errors are the kernel's.
std::size_t endpoint::receive_reports(std::span<message> messages) {
  own_turn t(*this);
  if (engine_.is_guest()) return 0;
  std::size_t count = 0;
  while (count < messages.size() && fill_error(messages[count])) ++count;
  if (count != 0) settle_descriptor();
  return count;
}

// Sends with MSG_ZEROCOPY are numbered on one half of the socket only: here, from the first on that wasn't the
// kernel's.
bool endpoint::completes_here(int flags) const {
  if ((flags & message_flag::zero_copy) == 0 || !socket_.settings().zero_copy || engine_.is_guest()) return false;
  return is_fast() || has_completed_.load(std::memory_order_relaxed);
}

void endpoint::complete_sends(std::uint32_t count) {
  if (count == 0) return;
  own_turn t(*this);
  if (engine_.is_guest()) return;
  has_completed_.store(true, std::memory_order_relaxed);
  socket_.complete_sends(count);
}

}  // namespace fastudp
