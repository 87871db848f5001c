#include "places.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

namespace differential {
namespace {

bool is_v6(const place& p) { return p.raw.ss_family == AF_INET6; }

const sockaddr_in6& as_v6(const place& p) { return reinterpret_cast<const sockaddr_in6&>(p.raw); }
const sockaddr_in& as_v4(const place& p) { return reinterpret_cast<const sockaddr_in&>(p.raw); }

int port_of(const place& p) { return ntohs(as_v4(p).sin_port); }

bool is_any(const place& p) {
  return is_v6(p) ? IN6_IS_ADDR_UNSPECIFIED(&as_v6(p).sin6_addr) : as_v4(p).sin_addr.s_addr == INADDR_ANY;
}

bool is_mapped(const place& p) { return is_v6(p) && IN6_IS_ADDR_V4MAPPED(&as_v6(p).sin6_addr); }

// The other form of an address of IPv4.
place as_mapped(const place& p) {
  sockaddr_in6 out{};
  out.sin6_family = AF_INET6;
  out.sin6_port = as_v4(p).sin_port;
  out.sin6_addr.s6_addr[10] = out.sin6_addr.s6_addr[11] = 0xff;
  std::memcpy(&out.sin6_addr.s6_addr[12], &as_v4(p).sin_addr, 4);
  place made;
  std::memcpy(&made.raw, &out, sizeof out);
  made.length = sizeof out;
  made.is_null = false;
  return made;
}

place as_v4_form(const place& p) {
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &as_v6(p).sin6_addr.s6_addr[12], text, sizeof text);
  return at(text, port_of(p));
}

}  // namespace

place at(const char* text, int port, unsigned scope) {
  place out;
  out.is_null = false;
  sockaddr_in v4{};
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(static_cast<std::uint16_t>(port));
    std::memcpy(&out.raw, &v4, sizeof v4);
    out.length = sizeof v4;
    return out;
  }
  sockaddr_in6 v6{};
  inet_pton(AF_INET6, text, &v6.sin6_addr);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(static_cast<std::uint16_t>(port));
  v6.sin6_scope_id = scope;
  std::memcpy(&out.raw, &v6, sizeof v6);
  out.length = sizeof v6;
  return out;
}

place place_to_bind(family own, int port, dice& random) {
  static constexpr const char* v4[] = {"127.0.0.1", "127.0.0.1", "127.0.0.1", "0.0.0.0",    "0.0.0.0",
                                       "127.0.0.2", "10.99.0.1", "10.99.0.9", "224.0.0.250"};
  static constexpr const char* v6[] = {
      "::1",     "::1",     "::", "::", "fd99::1", "::ffff:127.0.0.1", "::ffff:10.99.0.1", "::ffff:0.0.0.0",
      "fd99::9", "ff02::42"};
  return own == family::v4 ? at(random.pick(v4), port) : at(random.pick(v6), port, random.percent(5) ? 1 : 0);
}

place place_of(const place& bound, family from, dice& random) {
  place out = bound;
  if (is_any(bound)) {
    const bool by_v4 = !is_v6(bound) || random.percent(40);
    out = by_v4 ? at(random.one_of({"127.0.0.1", "127.0.0.1", "127.0.0.2", "10.99.0.1"}), port_of(bound))
                : at(random.one_of({"::1", "::1", "fd99::1", "::"}), port_of(bound));
  }
  if (from == family::v6 && !is_v6(out) && random.percent(90)) out = as_mapped(out);
  if (from == family::v4 && is_mapped(out)) out = as_v4_form(out);
  return out;
}

place place_of_nobody(family from, int port, dice& random) {
  static constexpr const char* v4[] = {"127.0.0.1", "127.0.0.1",       "127.0.0.3",   "10.99.0.1",      "192.0.2.1",
                                       "0.0.0.0",   "127.255.255.255", "10.99.0.255", "255.255.255.255"};
  static constexpr const char* v6[] = {
      "::1",    "::1", "::", "fd99::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:192.0.2.1", "::ffff:0.0.0.0",
      "fe80::1"};
  place out = from == family::v4 ? at(random.pick(v4), port) : at(random.pick(v6), port, random.percent(10) ? 1 : 0);
  if (random.percent(8)) reinterpret_cast<sockaddr_in&>(out.raw).sin_port = 0;
  return out;
}

namespace {

// Loopback's, this host's own, and the one that stands for both.
bool is_within(const place& p) {
  const place v4 = is_mapped(p) ? as_v4_form(p) : p;
  const auto number = ntohl(as_v4(v4).sin_addr.s_addr);
  if (!is_v6(v4)) return number >> 24 == 127 || number == 0x0a630001 || number == 0;
  const in6_addr& a = as_v6(v4).sin6_addr;
  const in6_addr own = as_v6(at("fd99::1", 0)).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&a) || IN6_IS_ADDR_UNSPECIFIED(&a) || IN6_ARE_ADDR_EQUAL(&a, &own);
}

place moved(const place& p, const char* v4, const char* v6) {
  place out = is_mapped(p) ? as_mapped(at(v4, port_of(p))) : at(is_v6(p) ? v6 : v4, port_of(p));
  out.port_of = p.port_of;
  return out;
}

}  // namespace

place beyond(const place& within) {
  return within.is_null || !is_within(within) ? within : moved(within, beyond_v4, beyond_v6);
}

void give_port(place& p, int port) {
  auto& raw = reinterpret_cast<sockaddr_in&>(p.raw);
  if (!p.is_null && raw.sin_port == 0) raw.sin_port = htons(static_cast<std::uint16_t>(port));
}

void spoil(place& good, dice& random) {
  switch (random.below(4)) {
    case 0:
      good.length = random.one_of<socklen_t>({0, 1, 2, 4, 8, 15, 16, 20, 24, 27, 28, 32, 128, 129, ~0u});
      break;
    case 1:
      good.raw.ss_family = random.one_of<sa_family_t>({AF_UNSPEC, AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, 99});
      break;
    case 2:
      good.is_null = true;
      good.length = random.percent(50) ? 0 : good.length;
      break;
    default:
      reinterpret_cast<sockaddr_in&>(good.raw).sin_port = 0;
  }
}

}  // namespace differential
