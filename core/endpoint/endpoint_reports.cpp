// What an endpoint's error queue tells: ICMP errors, stamps of what was sent, and sends that are done.

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "endpoint/control.h"
#include "endpoint/endpoint.h"
#include "endpoint/facts.h"
#include "endpoint/stamps.h"

namespace fastudp {

// Linux has no local address there, that is, none for an answer; and tells when it was asked for what has no time of
// its own.
void endpoint::put_icmp(control_writer& out, const queued_error& e, std::span<const std::byte> quoted) const {
  const ip_address nowhere = ip_address::any(ip_family::v4);
  const stamp_settings& stamps = socket_.settings().stamps;
  put_stamps(out, stamps, stamps.wanted ? engine_.time().wall() : 0, true);
  if (e.is_icmp())
    put_facts(out, e.message, interface(e.message.destination), nowhere, socket_.settings(), port_at(quoted));
  put_report(out, e, e.is_completion() ? family() : e.destination.address.family(), e.is_icmp());
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
  put_report(out, e, family(), tells_facts);
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
