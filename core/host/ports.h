#pragma once
// Who else has a port.

#include <cstdint>

namespace fastudp {

// The kernel's number of a socket, which no other socket ever has.
std::uint64_t cookie_of(int socket);

// By which a caller tells his own sockets.
class own_sockets {
 public:
  virtual bool has(std::uint64_t cookie) const = 0;

 protected:
  ~own_sockets() = default;
};

// Whether a UDP socket that isn't one of `ours` is bound to the port of this one, by an address that
// overlaps. Only those that share it by SO_REUSEADDR or SO_REUSEPORT can be. Also true when nobody can tell.
bool shares_port(int socket, const own_sockets& ours);

}  // namespace fastudp
