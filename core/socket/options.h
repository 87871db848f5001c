#pragma once
// Socket options by Linux's numbers. One row in the table of options.cpp is all that an option needs.

#include <cstddef>
#include <span>

#include "base/result.h"
#include "base/time.h"

namespace fastudp {

class udp_socket;

// ENOPROTOOPT: not an option that this socket has, or not one that can be set; EINVAL, EDOM: as Linux.
status set_option(udp_socket& socket, int level, int name, std::span<const std::byte> value, time_point now);
// Returns how many bytes of `value` were written: as many as the option has, or as fit.
result<std::size_t> get_option(udp_socket& socket, int level, int name, std::span<std::byte> value, time_point now);

// Where the options of another socket can be read, by their numbers.
class option_source {
 public:
  virtual result<std::size_t> get_option(int level, int name, std::span<std::byte> value) = 0;

 protected:
  ~option_source() = default;
};

// Takes over all that is set on a kernel socket, whose buffer sizes are doubled already.
void copy_options(udp_socket& socket, option_source& from, time_point now);

}  // namespace fastudp
