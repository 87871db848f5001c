#pragma once
// A UDP conversation as the local host sees it.

#include "base/address.h"

namespace fastudp {

struct flow {
  endpoint_address local, remote;

  friend bool operator==(const flow&, const flow&) = default;
};

}  // namespace fastudp
