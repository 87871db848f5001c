#pragma once
// A MAC address of our own on a device that has one already.

#include "base/address.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp {

// `asked`, or when that is zero a locally administered one: the same for as long as the device has its address, and as
// unique as that. EINVAL: what is asked for is the device's.
result<mac_address> own_mac(const mac_address& asked, const mac_address& devices, reason& why);

}  // namespace fastudp
