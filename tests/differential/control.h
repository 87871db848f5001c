#pragma once
// Control messages to send: good, with wrong values, and malformed.

#include <cstddef>
#include <vector>

#include "places.h"

namespace differential {

std::vector<std::byte> control_to_send(family own, dice& random);

}  // namespace differential
