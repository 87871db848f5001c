#pragma once
// When a datagram came or went: SO_TIMESTAMP, SO_TIMESTAMPNS and SO_TIMESTAMPING, in software, by the old numbers and
// by those with 64-bit times.

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace fastudp {

class option_source;
class udp_socket;

// SOF_TIMESTAMPING_*; older headers lack the last ones.
namespace stamping {
inline constexpr std::uint32_t tx_hardware = 1 << 0, tx_software = 1 << 1, rx_hardware = 1 << 2, rx_software = 1 << 3,
                               software = 1 << 4, raw_hardware = 1 << 6, with_id = 1 << 7, tx_scheduled = 1 << 8,
                               tx_acknowledged = 1 << 9, with_facts = 1 << 10, stamp_only = 1 << 11,
                               with_stats = 1 << 12, of_clock = 1 << 15, with_id_tcp = 1 << 16, only_if_asked = 1 << 17,
                               tx_completed = 1 << 18;
inline constexpr std::uint32_t all = (tx_completed << 1) - 1;
// What a control message may choose for one datagram.
inline constexpr std::uint32_t of_one_send = tx_hardware | tx_software | tx_scheduled | tx_acknowledged | tx_completed;
inline constexpr std::uint32_t hardware = tx_hardware | rx_hardware | raw_hardware | of_clock;
// What makes a report in the error queue here: UDP has no acknowledgements.
inline constexpr std::uint32_t reported = tx_software | tx_scheduled;
// What Linux numbers, with OPT_ID.
inline constexpr std::uint32_t numbered = tx_hardware | reported | tx_completed;
}  // namespace stamping

// Linux's numbers; of SCM_TS_OPT_ID older headers lack it.
namespace stamp_option {
inline constexpr int old_us = 29, old_ns = 35, old_flags = 37, new_us = 63, new_ns = 64, new_flags = 65, id = 81;
}

struct stamp_settings {
  bool wanted = false, nanoseconds = false;  // SO_TIMESTAMP or SO_TIMESTAMPNS
  bool has_new_layout = false;               // asked for by the later numbers
  bool is_counted = false;                   // among those for whom the layer looks at the clock
  std::uint32_t flags = 0;                   // SO_TIMESTAMPING
  std::uint32_t next_id = 0;                 // threads that send through the kernel count it too

  bool any() const { return wanted || (flags & (stamping::software | stamping::raw_hardware)) != 0; }
};

bool is_stamp_option(int level, int name);
// ENOPROTOOPT: hardware stamps, of an interface that may have some.
status set_stamp_option(udp_socket& socket, int name, std::span<const std::byte> value);
std::size_t get_stamp_option(const udp_socket& socket, int name, std::span<std::byte> value);
void copy_stamp_options(udp_socket& socket, option_source& from);

// The number that the next datagram is told by (SOF_TIMESTAMPING_OPT_ID).
std::uint32_t next_stamp_id(udp_socket& socket);
// Of a send that failed, unless a later one has its number already.
void take_back_stamp_id(udp_socket& socket, std::uint32_t id);

}  // namespace fastudp
