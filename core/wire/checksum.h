#pragma once
// The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit words. All numbers are
// in host order, as fields are: m.set<&udp::checksum>(sum.finish()).

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/byte_order.h"

namespace fastudp {

namespace wire {

// One's complement addition: what 64-bit words add up to folds to the sum of their 16-bit words.
constexpr std::uint64_t add_carrying(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t sum = a + b;
  return sum + (sum < a);
}

constexpr std::uint16_t fold(std::uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

// The sum of words in the machine's byte order, the last one filled up with 0; not folded. The wide path where it pays.
std::uint64_t sum_bytes(std::span<const std::byte> from);
std::uint64_t copy_and_sum_bytes(std::byte* to, std::span<const std::byte> from);

}  // namespace wire

// The sum of a message that comes in pieces, of any lengths, odd ones too.
class checksum_sum {
 public:
  void add(std::span<const std::byte> piece) { add_piece(wire::sum_bytes(piece), piece.size()); }
  // The same, and the piece is copied to `to` on the way; they don't overlap.
  void add_copy(std::byte* to, std::span<const std::byte> piece) {
    add_piece(wire::copy_and_sum_bytes(to, piece), piece.size());
  }
  void add_word(std::uint16_t word) { add_native(network_order(word)); }
  void add_address(ipv4_address address) { add_native(std::bit_cast<std::uint32_t>(address)); }

  // The one's complement sum so far; 0xffff if what was added contains its own, correct checksum.
  std::uint16_t folded() const { return network_order(wire::fold(sum_)); }
  // What goes into the checksum field, which counted as 0 in the sum.
  std::uint16_t finish() const { return static_cast<std::uint16_t>(~folded()); }
  bool verifies() const { return folded() == 0xffff; }

 private:
  // RFC 1071, 2(B): the sum of swapped words is the swapped sum.
  void add_native(std::uint64_t native) {
    sum_ = wire::add_carrying(sum_, odd_ ? byte_swap(wire::fold(native)) : native);
  }
  void add_piece(std::uint64_t native, std::size_t length) {
    add_native(native);
    odd_ ^= (length & 1) != 0;
  }

  std::uint64_t sum_ = 0;  // of words in the machine's byte order
  bool odd_ = false;       // the next byte is the second of its word
};

// For a message in one piece, whose checksum field is 0.
inline std::uint16_t checksum(std::span<const std::byte> message) {
  checksum_sum sum;
  sum.add(message);
  return sum.finish();
}

// For one with its checksum in place.
inline bool verify_checksum(std::span<const std::byte> message) {
  checksum_sum sum;
  sum.add(message);
  return sum.verifies();
}

// The sum of what was copied; `to` has room for as much as `from`, and they don't overlap.
inline checksum_sum copy_and_sum(std::byte* to, std::span<const std::byte> from) {
  checksum_sum sum;
  sum.add_copy(to, from);
  return sum;
}

// What UDP (and TCP) sum before their own header: RFC 768.
inline checksum_sum pseudo_header_sum(ipv4_address source, ipv4_address destination, std::uint8_t protocol,
                                      std::uint16_t length) {
  checksum_sum sum;
  sum.add_address(source);
  sum.add_address(destination);
  sum.add_word(protocol);
  sum.add_word(length);
  return sum;
}

// RFC 8200 8.1; of either family, as UDP's is.
inline checksum_sum pseudo_header_sum(const ip_address& source, const ip_address& destination, std::uint8_t protocol,
                                      std::uint16_t length) {
  if (source.is_v4()) return pseudo_header_sum(source.ipv4(), destination.ipv4(), protocol, length);
  checksum_sum sum;
  sum.add(std::as_bytes(std::span(source.bytes)));
  sum.add(std::as_bytes(std::span(destination.bytes)));
  sum.add_word(length);
  sum.add_word(protocol);
  return sum;
}

// RFC 768: a computed checksum of 0 is sent as 0xffff, since 0 says that there is none.
constexpr std::uint16_t as_udp_checksum(std::uint16_t computed) { return computed == 0 ? 0xffff : computed; }

// The checksum after one word of the message has changed (RFC 1624, equation 3).
constexpr std::uint16_t update_checksum(std::uint16_t checksum, std::uint16_t old_word, std::uint16_t new_word) {
  const std::uint64_t sum =
      std::uint64_t{static_cast<std::uint16_t>(~checksum)} + static_cast<std::uint16_t>(~old_word) + new_word;
  return static_cast<std::uint16_t>(~wire::fold(sum));
}

// The ways to add up bytes that this machine has, the fastest last, which is the one that is used.
// Each gives what wire::sum_bytes does. Asking takes a while: the processor is questioned.
struct checksum_kernel {
  const char* name;
  std::uint64_t (*sum)(const std::byte* from, std::size_t length);
  std::uint64_t (*copy_and_sum)(std::byte* to, const std::byte* from, std::size_t length);
};
std::span<const checksum_kernel> checksum_kernels();

}  // namespace fastudp
