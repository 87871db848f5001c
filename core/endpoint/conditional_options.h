#pragma once
// Options whose value decides whether the fast path can go on: they are about the device, or about what it does
// anyway. The companion has taken them already.

#include <cstddef>
#include <span>

#include "host/companion.h"

namespace fastudp {

enum class option_effect {
  none,     // the fast path does as the kernel would
  kernel,   // it doesn't
  unknown,  // not such an option
};

// `interface` is the host's number of the link's device.
option_effect effect_of(int level, int name, std::span<const std::byte> value, const companion& set, int interface);

}  // namespace fastudp
