#pragma once
// The control messages that tell what is known of a datagram, and of an error about one, as Linux writes them.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "endpoint/control.h"
#include "socket/error_queue.h"
#include "socket/settings.h"
#include "stack/ip_facts.h"

namespace fastudp {

using known_port = std::optional<std::uint16_t>;

// The destination's, behind the source's; Linux looks there whatever it is.
std::uint16_t port_at(const std::byte* ports);
known_port port_at(std::span<const std::byte> ports);

// The control messages that the socket asked for, in Linux's order; `answer_from` is where an answer should come from.
// An IPv6 socket that gets a datagram over IPv4 is told of both families.
void put_facts(control_writer& out, const ip_facts& facts, int interface, const ip_address& answer_from,
               const socket_settings& wanted, known_port destination_port);

// IP_RECVERR's control message, or IPV6_RECVERR's: the error, then the address of whoever reported it.
void put_report(control_writer& out, const queued_error& e, ip_family family, bool is_reported, int interface);

}  // namespace fastudp
