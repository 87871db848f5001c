#pragma once
// Control messages to send: good, with wrong values, and malformed; `plain`: none that what comes back
// would carry, or tell once more.

#include <cstddef>
#include <vector>

#include "places.h"

namespace differential {

std::vector<std::byte> control_to_send(family own, bool plain, dice& random);

}  // namespace differential
