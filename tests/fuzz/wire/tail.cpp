// Any bytes as headers with optional fields, variable lengths and padding.
#include "wire/tail.h"

#include "fuzz/wire/header_checks.h"
#include "unit/wire/tail_schemas.h"

namespace fastudp {
namespace {

void check_gre(std::span<const std::byte> packet) {
  const auto v = check_header<gre>(packet);
  if (!v) return;
  require(v->get<&gre::checksum>().has_value() == (v->get<&gre::has_checksum>() != 0), "flags say what is there");
  require(v->get<&gre::key>().has_value() == (v->get<&gre::has_key>() != 0), "flags say what is there");
  require(v->get<&gre::sequence>().has_value() == (v->get<&gre::has_sequence>() != 0), "flags say what is there");
}

void check_rtp(std::span<const std::byte> packet) {
  const auto v = check_header<rtp>(packet);
  if (!v) return;
  require(v->get<&rtp::csrc>().size() == v->get<&rtp::csrc_count>() * 4u, "the count says how many");
  require(v->size() + v->payload().size() + v->get<&rtp::trailer>().size() == packet.size(), "nothing is left over");
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::check_gre(fastudp::input(data, size));
  fastudp::check_rtp(fastudp::input(data, size));
  return 0;
}
