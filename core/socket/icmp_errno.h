#pragma once
// What an ICMP error means to a socket, as Linux translates it.

#include <cstdint>

namespace fastudp {

struct socket_error {
  int code = 0;        // errno
  bool fatal = false;  // told to connected sockets that didn't ask for errors (RFC 1122 4.1.3.3, "hard error")
};

socket_error errno_of_icmp(std::uint8_t type, std::uint8_t code);
socket_error errno_of_icmpv6(std::uint8_t type, std::uint8_t code);

}  // namespace fastudp
