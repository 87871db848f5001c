#include "options.h"

#include <linux/time_types.h>
#include <sys/time.h>

#include <cstring>

namespace differential {
namespace {

template <typename T>
std::vector<std::byte> as_bytes(const T& value) {
  std::vector<std::byte> out(sizeof value);
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

std::vector<std::byte> noise(std::size_t size, dice& random) {
  std::vector<std::byte> out(size);
  for (auto& each : out) each = static_cast<std::byte>(random.percent(60) ? 0 : random.below(256));
  return out;
}

struct four_bytes {
  std::uint32_t value;
};
four_bytes v4(int a, int b, int c, int d) {
  return {__builtin_bswap32(static_cast<std::uint32_t>(a << 24 | b << 16 | c << 8 | d))};
}

// ip_mreqn, ip_mreq when cut after 8 bytes, an address when cut after 4.
std::vector<std::byte> group(dice& random) {
  struct {
    four_bytes group, local;
    std::int32_t interface;
  } out{random.one_of({v4(239, 1, 1, 1), v4(224, 0, 0, 250), v4(127, 0, 0, 1), v4(0, 0, 0, 0)}),
        random.one_of({v4(0, 0, 0, 0), v4(127, 0, 0, 1), v4(10, 99, 0, 1), v4(1, 2, 3, 4)}),
        random.one_of({0, 0, 1, 2, 77})};
  auto bytes = as_bytes(out);
  bytes.resize(random.one_of({12u, 12u, 8u, 8u, 4u}));
  return bytes;
}

std::vector<std::byte> source(dice& random) {
  struct {
    four_bytes group, local, from;
  } out{random.one_of({v4(239, 1, 1, 1), v4(239, 1, 1, 1), v4(127, 0, 0, 1)}),
        random.one_of({v4(0, 0, 0, 0), v4(127, 0, 0, 1), v4(10, 99, 0, 1)}),
        random.one_of({v4(127, 0, 0, 1), v4(10, 99, 0, 1), v4(10, 99, 0, 7)})};
  return as_bytes(out);
}

std::vector<std::byte> group6(dice& random) {
  struct {
    std::uint8_t group[16]{};
    std::int32_t interface = 0;
  } out;
  const bool is_group = random.percent(80);
  out.group[0] = is_group ? 0xff : 0;
  out.group[1] = is_group ? 0x05 : 0;
  out.group[15] = is_group ? 0x42 : 1;
  out.interface = random.one_of({0, 1, 2, 77});
  return as_bytes(out);
}

std::vector<std::byte> timeout(dice& random) {
  timeval out{0, random.one_of<suseconds_t>({0, 1, 1000, 999'999, 1'000'000, -1})};
  out.tv_sec = random.one_of<time_t>({0, 0, 0, 1, 100'000, -1});
  return as_bytes(out);
}

std::vector<std::byte> device(dice& random) {
  const char* name = random.one_of({"lo", "lo", "own0", "", "none", "a-name-that-is-too-long-for-a-device"});
  std::vector<std::byte> out(std::strlen(name) + static_cast<std::size_t>(random.below(2)));
  std::memcpy(out.data(), name, std::strlen(name));
  return out;
}

int number_for(value_kind kind, dice& random) {
  switch (kind) {
    case value_kind::flag:
      return random.one_of({0, 1, 1, 1, 1, 2, -1, 256});
    case value_kind::byte:
      return random.percent(60) ? random.below(256) : random.one_of({-1, 0, 1, 255, 256, -2, 1 << 30});
    case value_kind::small:
      return random.below(9) - 1;
    case value_kind::buffer:
      return random.one_of(
          {0, 1, 1000, 2304, 4096, 5000, 10'000, 65'536, 200'000, 10'000'000, -1, INT32_MIN, INT32_MAX});
    case value_kind::interface:
      return random.one_of({0, 1, 2, 77, -1, 1 << 24, 2 << 24});
    case value_kind::mtu:
      return random.one_of({0, 1280, 1279, 1500, 65'536, -1});
    case value_kind::family:
      return random.one_of({2, 2, 10, 0, 1});
    default:
      return random.percent(50) ? random.below(1000) : random.one_of({0, 1, -1, INT32_MIN, INT32_MAX, 65'536});
  }
}

}  // namespace

const option* find_option(int level, int name) {
  for (const option& each : options) {
    if (each.level == level && each.name == name) return &each;
  }
  return nullptr;
}

std::vector<std::byte> value_for(const option& wanted, dice& random) {
  switch (wanted.kind) {
    case value_kind::timeout:
      return timeout(random);
    case value_kind::device:
      return device(random);
    case value_kind::group:
      return random.percent(20) ? as_bytes(random.below(300)) : group(random);
    case value_kind::source:
      return source(random);
    case value_kind::group6:
      return group6(random);
    case value_kind::bytes:
      return noise(random.one_of({0u, 1u, 4u, 8u, 16u, 20u, 24u, 40u, 64u, 136u, 168u, 264u}), random);
    case value_kind::short_bytes:
      return noise(random.one_of({0u, 1u, 4u, 8u}), random);
    case value_kind::pair: {
      const int pair[] = {random.below(3), number_for(value_kind::flag, random)};
      return as_bytes(pair);
    }
    default:
      return as_bytes(number_for(wanted.kind, random));
  }
}

}  // namespace differential
