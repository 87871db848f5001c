#include "base/counters.h"

namespace fastudp {
namespace {

// No row has another.
namespace layer_name {
constexpr const char *link = "link", *memory = "memory", *stack = "stack", *socket = "socket";
}

struct row {
  const char* name;
  const char* text;
};

struct drop_row {
  const char* name;
  const char* layer;
  const char* text;
};

constexpr drop_row rows[] = {
#define FASTUDP_DROP(name, layer, text) {#name, layer_name::layer, text},
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
const char* drop_layer(std::size_t reason) { return reason < drop_reasons ? rows[reason].layer : nullptr; }
const char* drop_text(std::size_t reason) { return reason < drop_reasons ? rows[reason].text : nullptr; }

const char* kernel_reason_name(std::size_t reason) {
  return reason < kernel_reasons ? kernel_rows[reason].name : nullptr;
}
const char* kernel_reason_text(std::size_t reason) {
  return reason < kernel_reasons ? kernel_rows[reason].text : nullptr;
}

}  // namespace fastudp
