#pragma once
// The addresses that sequences use: of this host, of nobody, and such as no socket takes.

#include "random.h"
#include "step.h"

namespace differential {

enum class family : std::uint8_t { v4, v6 };

// The other host.
inline constexpr const char *beyond_v4 = "10.99.0.100", *beyond_v6 = "fd99::100";

place at(const char* text, int port, unsigned scope = 0);

// To bind to, mostly one that can be had.
place place_to_bind(family own, int port, dice& random);
// At which a socket bound to `bound` is reached from one of family `from`.
place place_of(const place& bound, family from, dice& random);
// Where nobody is, or nobody can be.
place place_of_nobody(family from, int port, dice& random);
// What is within this host, as the address by which a datagram goes to another host and comes back.
place beyond(const place& within);
// If it has none.
void give_port(place& p, int port);
// Cut, prolonged, of another family, or not there.
void spoil(place& good, dice& random);

}  // namespace differential
