// Any bytes as an IPv4 packet: the length of its header decides, and its checksum says whether it is whole.
#include "wire/ipv4.h"

#include "fuzz/wire/checksum_checks.h"
#include "fuzz/wire/header_checks.h"
#include "wire/checksum.h"

namespace fastudp {
namespace {

void check(std::span<const std::byte> packet) {
  const auto v = check_header<ipv4>(packet);
  const std::size_t claimed = packet.empty() ? 0 : std::to_integer<std::size_t>(packet[0] & std::byte{0x0f}) * 4;
  require(v.has_value() == (claimed >= 20 && claimed <= packet.size()), "IHL decides");
  if (!v) return;
  require(v->size() == claimed && v->get<&ipv4::options>().size() == claimed - 20, "IHL is the size");
  require(verify_checksum(v->header()) == (plain_sum(v->header()) == 0xffff), "the checksum is verified");

  octet_string copy(v->header().begin(), v->header().end());
  const auto m = *mutable_view<ipv4>::parse(copy);
  m.set<&ipv4::checksum>(0);
  m.set<&ipv4::checksum>(checksum(copy));
  require(verify_checksum(copy), "the checksum that we compute verifies");
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::check(fastudp::input(data, size));
  return 0;
}
