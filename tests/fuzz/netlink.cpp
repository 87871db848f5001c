// Any bytes as what netlink has sent: every message and attribute lies within them, and is the one that libc's macros
// find.
#include "host/netlink.h"

#include <linux/rtnetlink.h>

#include "fuzz/wire/header_checks.h"

namespace fastudp {
namespace {

bool lies_within(std::span<const std::byte> part, std::span<const std::byte> whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

const rtattr* find_by_macros(std::span<const std::byte> attributes, std::uint16_t type) {
  auto* each = reinterpret_cast<const rtattr*>(attributes.data());
  auto size = static_cast<int>(attributes.size());
  for (; RTA_OK(each, size); each = RTA_NEXT(each, size)) {
    if ((each->rta_type & NLA_TYPE_MASK) == type) return each;
  }
  return nullptr;
}

void check_attributes(std::span<const std::byte> attributes) {
  for (std::uint16_t type = 0; type < 64; ++type) {
    const auto found = netlink::attribute(attributes, type);
    require(lies_within(found, attributes), "an attribute lies within its message");
    const rtattr* expected = find_by_macros(attributes, type);
    require(found.size() == (expected != nullptr ? RTA_PAYLOAD(expected) : 0), "it is as long as it says");
    const auto number = netlink::value_of<std::uint32_t>(attributes, type, 7);
    require(found.size() >= sizeof number || number == 7, "what is too short has no value");
  }
}

void check(std::span<const std::byte> bytes) {
  alignas(nlmsghdr) std::byte copy[65'536];  // as aligned as what recv fills
  if (bytes.size() > sizeof copy) return;
  std::copy(bytes.begin(), bytes.end(), copy);
  const std::span<const std::byte> whole(copy, bytes.size());
  std::span<const std::byte> rest = whole;
  netlink::message one;
  while (netlink::next(rest, one)) {
    require(lies_within(one.body, whole) && lies_within(rest, whole), "a message lies within what came");
    check_attributes(one.attributes<rtmsg>());
    check_attributes(one.attributes<ifinfomsg>());
    (void)one.fixed<ndmsg>();
  }
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::check(fastudp::input(data, size));
  return 0;
}
