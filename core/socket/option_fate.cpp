#include "socket/option_fate.h"

#include <algorithm>
#include <iterator>

#include "socket/option_numbers.h"

namespace fastudp {
namespace {

struct fate_row {
  int level, name;
  option_fate fate;
};

constexpr fate_row fates[] = {
#define OPTION(level, name, fate, words) {level, name, option_fate::fate},
#include "socket/options.def"
#undef OPTION
};

}  // namespace

option_fate fate_of(int level, int name) {
  const auto* row = std::ranges::find_if(fates, [&](const fate_row& r) { return r.level == level && r.name == name; });
  return row == std::end(fates) ? option_fate::kernel : row->fate;
}

}  // namespace fastudp
