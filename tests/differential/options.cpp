#include "options.h"

#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <linux/time_types.h>
#include <sys/time.h>

#include <cstddef>
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

template <typename Address>
sockaddr_storage named(sa_family_t family, const Address& address, std::size_t at) {
  sockaddr_storage out{};
  out.ss_family = family;
  std::memcpy(reinterpret_cast<std::byte*>(&out) + at, &address, sizeof address);
  return out;
}

sockaddr_storage v4_name(four_bytes address) { return named(AF_INET, address, offsetof(sockaddr_in, sin_addr)); }
sockaddr_storage v6_name(in6_addr address) { return named(AF_INET6, address, offsetof(sockaddr_in6, sin6_addr)); }

sockaddr_storage some_group(dice& random) {
  if (random.percent(50)) return v4_name(random.one_of({v4(239, 1, 1, 1), v4(239, 1, 1, 1), v4(127, 0, 0, 1)}));
  in6_addr out{};
  out.s6_addr[0] = random.percent(85) ? 0xff : 0xfe;
  out.s6_addr[1] = 5;
  out.s6_addr[15] = 0x42;
  return v6_name(out);
}

sockaddr_storage some_source(dice& random) {
  if (random.percent(50)) return v4_name(random.one_of({v4(127, 0, 0, 1), v4(10, 99, 0, 1), v4(10, 99, 0, 7)}));
  return v6_name(in6addr_loopback);
}

std::uint32_t some_interface(dice& random) { return random.one_of({0u, 1u, 1u, 2u, 2u, 77u}); }

std::vector<std::byte> group_request(dice& random) {
  group_req out;
  std::memset(&out, 0, sizeof out);  // also between its members
  out.gr_interface = some_interface(random);
  out.gr_group = some_group(random);
  return as_bytes(out);
}

std::vector<std::byte> source_request(dice& random) {
  group_source_req out;
  std::memset(&out, 0, sizeof out);
  out.gsr_interface = some_interface(random);
  out.gsr_group = some_group(random);
  out.gsr_source = some_source(random);
  return as_bytes(out);
}

// ip_msfilter, with a number of sources that may be another than it says.
std::vector<std::byte> source_filter(dice& random) {
  struct {
    four_bytes group, local;
    std::uint32_t mode, count;
    four_bytes sources[3];
  } out{random.one_of({v4(239, 1, 1, 1), v4(127, 0, 0, 1)}),
        random.one_of({v4(0, 0, 0, 0), v4(127, 0, 0, 1)}),
        random.one_of({0u, 1u, 1u, 2u}),
        random.one_of({0u, 1u, 2u, 3u, 4u, 100'000u}),
        {v4(127, 0, 0, 1), v4(10, 99, 0, 1), v4(10, 99, 0, 7)}};
  auto bytes = as_bytes(out);
  bytes.resize(random.one_of({28u, 28u, 16u, 24u}));
  return bytes;
}

std::vector<std::byte> group_filter(dice& random) {
  struct {
    std::uint32_t interface, filling = 0;
    sockaddr_storage group;
    std::uint32_t mode, count;
    sockaddr_storage sources[2];
  } out{.interface = some_interface(random),
        .group = some_group(random),
        .mode = random.one_of({0u, 1u, 1u, 2u}),
        .count = random.one_of({0u, 1u, 2u, 3u, 100'000u}),
        .sources = {some_source(random), some_source(random)}};
  return as_bytes(out);
}

constexpr sock_filter load_length = BPF_STMT(BPF_LD | BPF_LEN, 0);
constexpr sock_filter accept_all = BPF_STMT(BPF_RET | BPF_K, 0x40000), refuse = BPF_STMT(BPF_RET | BPF_K, 0);

// Loads from the UDP header on, which is where a UDP socket's filter sees a datagram begin, of what doesn't change from
// run to run: no port that the kernel chose, no sum. Some may not be loaded.
sock_filter some_load(dice& random) {
  constexpr auto ip = static_cast<std::uint32_t>(SKF_NET_OFF);
  return random.one_of<sock_filter>({BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 2), BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
                                     BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8), BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 9),
                                     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 12), BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 100),
                                     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2000), BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ip),
                                     BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ip + 9)});
}

bool is_of_ports(const sock_filter& load) {
  return BPF_CLASS(load.code) == BPF_LD && BPF_MODE(load.code) == BPF_ABS && load.k < 4;
}

std::vector<std::byte> program(dice& random) {
  const sock_filter load = random.percent(40) ? load_length : some_load(random);
  const auto compares = random.one_of<std::uint16_t>({BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET});
  const sock_filter compare = BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | compares | BPF_K),
                                       random.one_of({0u, 1u, 10u, 18u, 100u, 0x80u, 65'535u}), 0, 1);
  const sock_filter cut = BPF_STMT(BPF_RET | BPF_K, random.one_of({1u, 8u, 9u, 12u, 50u}));
  std::vector<sock_filter> out;
  switch (random.below(6)) {
    case 0:
      out = {accept_all};
      break;
    case 1:
      out = {refuse};
      break;
    case 2:
      out = {cut};
      break;
    case 3:
      // A port may be another on either side.
      out = {is_of_ports(load) ? load_length : load, BPF_STMT(BPF_RET | BPF_A, 0)};
      break;
    case 4:
      out = {load, compare, cut, accept_all};
      break;
    default:
      out = {load, compare, accept_all, refuse};
  }
  if (random.percent(10)) out.back() = random.one_of({load, compare, sock_filter{0xffff, 0, 0, 0}});
  if (random.percent(3)) out.clear();
  std::vector<std::byte> bytes(out.size() * sizeof(sock_filter));
  if (!out.empty()) std::memcpy(bytes.data(), out.data(), bytes.size());
  return bytes;
}

// What is asked for of hardware is the kernel's, and here it has none.
int stamping(dice& random) {
  int out = 0;
  for (int left = random.below(5); left >= 0; --left) out |= 1 << random.below(18);
  return random.percent(30) ? SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | out : out;
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
    case value_kind::stamping:
      return stamping(random);
    case value_kind::offset:
      return random.one_of({-1, 0, 0, 1, 10, 100, 3000, -2, INT32_MAX});
    case value_kind::segment:
      return random.one_of({0, 1, 10, 10, 100, 100, 500, 1472, 1473, 65'535, 65'536, -1});
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
    case value_kind::group_request:
      return group_request(random);
    case value_kind::source_request:
      return source_request(random);
    case value_kind::source_filter:
      return source_filter(random);
    case value_kind::group_filter:
      return group_filter(random);
    case value_kind::program:
      return program(random);
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
