// Any bytes as ARP.
#include "wire/arp.h"

#include "fuzz/wire/header_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::check_header<fastudp::arp>(fastudp::input(data, size));
  return 0;
}
