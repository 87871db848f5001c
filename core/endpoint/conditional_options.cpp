#include "endpoint/conditional_options.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/byte_order.h"

namespace fastudp {
namespace {

constexpr int bind_to_number = 62;  // SO_BINDTOIFINDEX

option_effect none_if(bool holds) { return holds ? option_effect::none : option_effect::kernel; }

std::int32_t integer_at(std::span<const std::byte> value) {
  std::int32_t out = 0;
  std::memcpy(&out, value.data(), std::min(value.size(), sizeof out));
  return out;
}

// By its name or its number: the kernel knows which it is.
option_effect of_device(const companion& set, int interface) {
  std::int32_t device = 0;
  const auto read = set.get_option(SOL_SOCKET, bind_to_number, std::as_writable_bytes(std::span(&device, 1)));
  return none_if(read && (device == 0 || device == interface));
}

// In network order, of both families.
option_effect of_way_out(std::span<const std::byte> value, int interface) {
  const auto device = value.size() < sizeof(int) ? 0 : static_cast<int>(load_network<std::uint32_t>(value.data()));
  return none_if(device == 0 || device == interface);
}

bool is_unlimited(std::span<const std::byte> rate) {
  return std::ranges::all_of(rate, [](std::byte b) { return b == std::byte{0xff}; });
}

}  // namespace

option_effect effect_of(int level, int name, std::span<const std::byte> value, const companion& set, int interface) {
  if (level == SOL_SOCKET && (name == SO_BINDTODEVICE || name == bind_to_number)) return of_device(set, interface);
  // A device that isn't passed by keeps to the rate.
  if (level == SOL_SOCKET && name == SO_MAX_PACING_RATE) return none_if(is_unlimited(value));
  if (level == IPPROTO_IP && name == IP_UNICAST_IF) return of_way_out(value, interface);
  if (level == IPPROTO_IPV6 && name == IPV6_UNICAST_IF) return of_way_out(value, interface);
  // Flows have labels here, as Linux gives them unless told not to.
  if (level == IPPROTO_IPV6 && name == IPV6_AUTOFLOWLABEL) return none_if(integer_at(value) != 0);
  return option_effect::unknown;
}

}  // namespace fastudp
