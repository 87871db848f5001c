// Any bytes as a message of Multicast Listener Discovery of both versions.
#include "wire/mld.h"

#include "fuzz/wire/header_checks.h"

namespace fastudp {
namespace {

void check(std::span<const std::byte> message) {
  const auto any = check_header<mld>(message);
  const auto query = check_header<mldv2_query>(message);
  check_header<mldv2_report>(message);
  check_header<mldv2_record>(message);
  require(any || !query, "a query of version 2 begins as one of version 1");
  if (!query) return;
  require(any->get<&mld::group>() == query->get<&mldv2_query::group>(), "the group stands at the same place");
  require(from_exponent_code(query->get<&mldv2_query::max_response_code>()) <= 8'387'584,
          "the longest delay has a bound");
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::check(fastudp::input(data, size));
  return 0;
}
