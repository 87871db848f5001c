#pragma once
// A secret that this host keeps, from which addresses are made that stay the same from run to run (RFC 7217).

#include <optional>
#include <string_view>

#include "base/sip_hash.h"

namespace fastudp {

// Of the text of machine-id(5). None: it isn't one.
std::optional<sip_key> secret_of(std::string_view machine_id);

// This host's; a random one where it has no machine-id.
sip_key machine_secret();

}  // namespace fastudp
