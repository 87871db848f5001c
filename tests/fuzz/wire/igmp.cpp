// Any bytes as an IGMP message of each version.
#include "wire/igmp.h"

#include "fuzz/wire/header_checks.h"

namespace fastudp {
namespace {

void check(std::span<const std::byte> message) {
  const auto any = check_header<igmp>(message);
  const auto query = check_header<igmpv3_query>(message);
  const auto report = check_header<igmpv3_report>(message);
  check_header<igmpv3_record>(message);
  require(any.has_value() == report.has_value() && (any || !query), "a query of version 3 begins as every message");
  if (!query) return;
  require(any->get<&igmp::group>() == query->get<&igmpv3_query::group>(), "the group stands at the same place");
  const std::uint32_t delay = from_exponent_code(query->get<&igmpv3_query::max_response_code>());
  require(delay >= any->get<&igmp::max_response>() || delay >= 128, "a code says what it is, or more");
  require(delay <= 31'744, "the longest delay has a bound");
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::check(fastudp::input(data, size));
  return 0;
}
