#include "endpoint/stamps.h"

#include <sys/socket.h>

#include <array>

namespace fastudp {
namespace {

// The old and the new layouts are the same where a long has 64 bits.
struct stamp {
  std::int64_t seconds, fraction;
};
static_assert(sizeof(long) == sizeof(std::int64_t));

constexpr std::int64_t nanoseconds_per_second = 1'000'000'000, nanoseconds_per_microsecond = 1000;

stamp in_nanoseconds(std::int64_t at) { return {at / nanoseconds_per_second, at % nanoseconds_per_second}; }
stamp in_microseconds(std::int64_t at) {
  return {at / nanoseconds_per_second, at % nanoseconds_per_second / nanoseconds_per_microsecond};
}

void put_one(control_writer& out, const stamp_settings& wanted, std::int64_t at) {
  const int us = wanted.has_new_layout ? stamp_option::new_us : stamp_option::old_us;
  const int ns = wanted.has_new_layout ? stamp_option::new_ns : stamp_option::old_ns;
  wanted.nanoseconds ? out.put(SOL_SOCKET, ns, in_nanoseconds(at)) : out.put(SOL_SOCKET, us, in_microseconds(at));
}

// Whatever comes with a stamp has it told, unless the socket says that it must have asked for it.
bool tells_flags(const stamp_settings& wanted, bool of_report) {
  if ((wanted.flags & stamping::software) == 0) return false;
  return of_report || (wanted.flags & stamping::rx_software) != 0 || (wanted.flags & stamping::only_if_asked) == 0;
}

}  // namespace

void put_stamps(control_writer& out, const stamp_settings& wanted, std::int64_t at, bool of_report) {
  if (at == 0) return;
  if (wanted.wanted) put_one(out, wanted, at);
  if (!tells_flags(wanted, of_report)) return;
  const std::array<stamp, 3> by_software{in_nanoseconds(at)};  // the others are for hardware
  out.put(SOL_SOCKET, wanted.has_new_layout ? stamp_option::new_flags : stamp_option::old_flags, by_software);
}

}  // namespace fastudp
