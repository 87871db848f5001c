#include "link/own_mac.h"

#include <cerrno>
#include <cstring>

#include "base/random.h"

namespace fastudp {
namespace {

mac_address address_beside(const mac_address& devices) {
  std::uint64_t number = 0;
  std::memcpy(&number, devices.bytes.data(), devices.bytes.size());
  number = mix(number, 0x66617374756470);
  mac_address out;
  std::memcpy(out.bytes.data(), &number, out.bytes.size());
  out.bytes[0] = static_cast<std::uint8_t>((out.bytes[0] & ~1u) | 2u);  // unicast, locally administered
  if (out == devices) out.bytes[5] ^= 1;
  return out;
}

}  // namespace

result<mac_address> own_mac(const mac_address& asked, const mac_address& devices, reason& why) {
  if (asked.is_zero()) return address_beside(devices);
  if (asked != devices) return asked;
  return why.fail(EINVAL, "mac=%s is the kernel's end of the interface: choose another", to_text(asked).c_str());
}

}  // namespace fastudp
