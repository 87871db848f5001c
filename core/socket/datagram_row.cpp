#include "socket/datagram_row.h"

#include <cstring>

#include "base/byte_order.h"
#include "wire/ipv4.h"

namespace fastudp {
namespace {

// Linux's bounds: of pieces in one send, of datagrams that GRO joins, and of what a datagram can be.
constexpr std::uint32_t most_pieces = 128, most_joined = 64, longest = 65'507;

constexpr std::uint16_t dont_fragment = 0x4000;
constexpr std::uint32_t ipv4_length = 20, ports_length = 4, udp_checksum_at = 6;

bool are_same(const std::byte* a, const std::byte* b, std::size_t from, std::size_t size) {
  return std::memcmp(a + from, b + from, size) == 0;
}

// All but lengths, identification and checksums; options that nobody joins make a header longer.
bool have_same_ipv4(const std::byte* a, const std::byte* b) {
  constexpr std::size_t flags = 6, ttl_and_protocol = 8, addresses = 12;
  return are_same(a, b, 0, 2) && are_same(a, b, flags, 2) && are_same(a, b, ttl_and_protocol, 2) &&
         are_same(a, b, addresses, 8);
}
bool have_same_ipv6(const std::byte* a, const std::byte* b) {
  constexpr std::size_t next_header = 6;
  return are_same(a, b, 0, 4) && are_same(a, b, next_header, 34);
}

// As inet_gro_flush of Linux: counted up, or where it means nothing (RFC 6864 4.1) the same.
bool is_next_identification(const std::byte* last, const std::byte* next) {
  const auto step =
      static_cast<std::uint16_t>(load_network<std::uint16_t>(next + 4) - load_network<std::uint16_t>(last + 4));
  const bool is_atomic = (load_network<std::uint16_t>(next + 6) & dont_fragment) != 0;
  return step == 1 || (step == 0 && is_atomic);
}

bool has_checksum(const packet& p) { return load_network<std::uint16_t>(p.frame + p.transport + udp_checksum_at) != 0; }

bool are_of_one_flow(const packet& last, const packet& next) {
  const std::byte *a = last.frame + last.network, *b = next.frame + next.network;
  const std::uint32_t headers = next.transport - next.network;
  if (last.transport - last.network != headers) return false;
  if (std::memcmp(last.frame + last.transport, next.frame + next.transport, ports_length) != 0) return false;
  if (is_ipv4(*a) != is_ipv4(*b)) return false;
  return is_ipv4(*a) ? headers == ipv4_length && have_same_ipv4(a, b) : have_same_ipv6(a, b);
}

bool are_joined_by_gro(const packet& last, const packet& next) {
  const std::byte *a = last.frame + last.network, *b = next.frame + next.network;
  return has_checksum(last) && has_checksum(next) && (!is_ipv4(*b) || is_next_identification(a, b));
}

}  // namespace

bool datagram_row::takes(const packet& last, const packet& next) const {
  return next.length != 0 && next.length <= size_ && last.length == size_ && bytes_ + next.length <= longest &&
         are_of_one_flow(last, next);
}

void datagram_row::begin(const packet& first, std::uint64_t burst) {
  *this = {};
  size_ = bytes_ = first.length;
  count_ = 1;
  burst_ = burst;
  is_off_wire_ = first.joins == joining::if_alike;
}

place_in_row datagram_row::add(const packet* last, const packet& next, std::uint64_t burst) {
  const bool is_piece = next.joins == joining::always;
  if (is_piece && is_lost_) return place_in_row::piece_of_lost;
  const bool may_join =
      is_piece ? count_ < most_pieces
               : next.joins == joining::if_alike && is_off_wire_ && burst == burst_ && count_ < most_joined;
  const bool joins = may_join && last != nullptr && takes(*last, next) && (is_piece || are_joined_by_gro(*last, next));
  if (!joins) {
    begin(next, burst);
    return place_in_row::first;
  }
  ++count_;
  bytes_ += next.length;
  return is_piece ? place_in_row::piece : place_in_row::joined;
}

}  // namespace fastudp
