#pragma once
// SipHash-2-4 (Aumasson and Bernstein, 2012): a function of a message and a key, whose results tell nothing of the key.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace fastudp {

struct sip_key {
  std::uint64_t low = 0, high = 0;

  friend bool operator==(const sip_key&, const sip_key&) = default;
};

namespace sip {

struct state {
  std::uint64_t a, b, c, d;

  constexpr void round() {
    a += b, b = std::rotl(b, 13) ^ a, a = std::rotl(a, 32);
    c += d, d = std::rotl(d, 16) ^ c;
    a += d, d = std::rotl(d, 21) ^ a;
    c += b, b = std::rotl(b, 17) ^ c, c = std::rotl(c, 32);
  }
  constexpr void take(std::uint64_t word) {
    d ^= word;
    round(), round();
    a ^= word;
  }
};

// Up to eight bytes, the first one lowest.
constexpr std::uint64_t word_of(std::span<const std::byte> bytes) {
  std::uint64_t out = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) out = out << 8 | static_cast<std::uint8_t>(bytes[i]);
  return out;
}

}  // namespace sip

constexpr std::uint64_t sip_hash(std::span<const std::byte> message, const sip_key& key) {
  sip::state s{key.low ^ 0x736f6d6570736575, key.high ^ 0x646f72616e646f6d, key.low ^ 0x6c7967656e657261,
               key.high ^ 0x7465646279746573};
  const std::uint64_t length = message.size();
  for (; message.size() >= 8; message = message.subspan(8)) s.take(sip::word_of(message.first(8)));
  s.take(length << 56 | sip::word_of(message));
  s.c ^= 0xff;
  for (int i = 0; i < 4; ++i) s.round();
  return s.a ^ s.b ^ s.c ^ s.d;
}

}  // namespace fastudp
