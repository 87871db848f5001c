#pragma once
// The control messages that tell when a datagram came or went, as Linux writes them.

#include <cstdint>

#include "endpoint/control.h"
#include "socket/timestamps.h"

namespace fastudp {

// `at`: nanoseconds of CLOCK_REALTIME, 0 when that isn't known; `of_report`: of what the error queue gives.
void put_stamps(control_writer& out, const stamp_settings& wanted, std::int64_t at, bool of_report);

}  // namespace fastudp
