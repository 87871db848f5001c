#include "base/counters.h"

namespace fastudp {
namespace {

struct row {
  const char* name;
  const char* text;
};

constexpr row rows[] = {
#define FASTUDP_DROP(name, text) {#name, text},
#include "base/drops.def"
#undef FASTUDP_DROP
};

constexpr row kernel_rows[] = {
#define FASTUDP_KERNEL_REASON(name, text) {#name, text},
#include "base/kernel_reasons.def"
#undef FASTUDP_KERNEL_REASON
};

}  // namespace

const char* drop_name(std::size_t reason) { return reason < drop_reasons ? rows[reason].name : nullptr; }
const char* drop_text(std::size_t reason) { return reason < drop_reasons ? rows[reason].text : nullptr; }

const char* kernel_reason_name(std::size_t reason) {
  return reason < kernel_reasons ? kernel_rows[reason].name : nullptr;
}
const char* kernel_reason_text(std::size_t reason) {
  return reason < kernel_reasons ? kernel_rows[reason].text : nullptr;
}

}  // namespace fastudp
