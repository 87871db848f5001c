#pragma once
// A socket's own filter, as a program attaches it: where Linux's layouts are read, and the kernel is asked what it
// thinks of a program.

#include <linux/filter.h>

#include <cstddef>
#include <span>

#include "base/result.h"
#include "socket/packet_filter.h"

namespace fastudp {

// What SO_ATTACH_FILTER and its like point to. Linux's errno, for which a kernel socket that nobody has is asked first.
result<packet_filter> read_program(std::span<const std::byte> value);
// As SO_GET_FILTER, which counts instructions where others count bytes: `room` is in them, and so is the result.
result<std::size_t> write_program(const packet_filter& filter, std::byte* to, std::size_t room);

}  // namespace fastudp
