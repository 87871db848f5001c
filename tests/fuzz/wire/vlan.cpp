// Any bytes as an 802.1Q tag.
#include "wire/vlan.h"

#include "fuzz/wire/header_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::check_header<fastudp::vlan>(fastudp::input(data, size));
  return 0;
}
