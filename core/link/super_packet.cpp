#include "link/super_packet.h"

#include <algorithm>
#include <cstring>

#include "base/byte_order.h"
#include "link/header_sums.h"
#include "link/link.h"

namespace fastudp {
namespace {

constexpr std::size_t ipv4_header = 20, ipv6_header = 40, udp_header = 8, udp_length_at = 4, udp_sum_at = 6;
constexpr std::uint16_t type_ipv4 = 0x0800, type_ipv6 = 0x86dd;
constexpr std::byte protocol_udp{17};

std::uint16_t word(const std::byte* at) { return load_network<std::uint16_t>(at); }

// The length of the IP header; 0 where something else stands.
std::size_t plain_ip_header(std::span<const std::byte> frame, std::size_t at) {
  constexpr std::uint16_t offset_and_more = 0x3fff;
  if (frame.size() < at + ipv4_header) return 0;
  const std::byte* ip = frame.data() + at;
  const std::uint16_t type = word(ip - 2);
  const std::size_t size = frame.size() - at;
  if (type == type_ipv4) {
    const bool is_plain = ip[0] == std::byte{0x45} && ip[9] == protocol_udp && (word(ip + 6) & offset_and_more) == 0;
    return is_plain && word(ip + 2) == size ? ipv4_header : 0;
  }
  if (type != type_ipv6 || size < ipv6_header) return 0;
  const bool is_plain = ip[0] >> 4 == std::byte{6} && ip[6] == protocol_udp;
  return is_plain && word(ip + 4) + ipv6_header == size ? ipv6_header : 0;
}

bool is_v4(const datagram_place& where) { return where.udp - where.ip == ipv4_header; }

bool are_same(const std::byte* a, const std::byte* b, std::size_t from, std::size_t to) {
  return std::memcmp(a + from, b + from, to - from) == 0;
}

// Number `i` of a row, as the kernel counts.
bool has_place_in_row(const std::byte* first, const std::byte* next, std::size_t i) {
  const auto ahead = static_cast<std::uint16_t>(word(next + 4) - word(first + 4));
  const bool is_atomic = (word(first + 6) & 0x4000) != 0;
  return ahead == static_cast<std::uint16_t>(i) || (ahead == 0 && is_atomic);
}

// All that the payloads don't decide on, up to both ports.
bool have_same_headers(const std::byte* first, const std::byte* next, const datagram_place& where) {
  constexpr std::size_t ports = 4;
  if (std::memcmp(first, next, where.ip) != 0) return false;
  const std::byte *a = first + where.ip, *b = next + where.ip;
  return is_v4(where) ? are_same(a, b, 0, 2) && are_same(a, b, 6, 10) && are_same(a, b, 12, ipv4_header + ports)
                      : are_same(a, b, 0, 4) && are_same(a, b, 6, ipv6_header + ports);
}

bool continues(packet& first, packet& next, const datagram_place& where, std::size_t i) {
  if (next.checksum != checksum_state::own || next.length <= where.payload || next.length > first.length) return false;
  const std::byte *a = first.data(), *b = next.data();
  if (!have_same_headers(a, b, where) || find_datagram(next.bytes()).payload != where.payload) return false;
  return !is_v4(where) || has_place_in_row(a + where.ip, b + where.ip, i);
}

// As of one datagram with all the payload, whose checksum is left undone.
void complete_headers(std::byte* frame, const datagram_place& where, std::size_t payload) {
  std::byte *ip = frame + where.ip, *udp = frame + where.udp;
  const std::size_t datagram = udp_header + payload;
  store_network(udp + udp_length_at, static_cast<std::uint16_t>(datagram));
  if (is_v4(where)) {
    store_network(ip + 2, static_cast<std::uint16_t>(ipv4_header + datagram));
    store_network(ip + 10, ipv4_checksum({ip, ipv4_header}));
    store_network(udp + udp_sum_at, pseudo_sum(udp, {ip + 12, 8}));
  } else {
    store_network(ip + 4, static_cast<std::uint16_t>(datagram));
    store_network(udp + udp_sum_at, pseudo_sum(udp, {ip + 8, 32}));
  }
}

}  // namespace

datagram_place find_datagram(std::span<const std::byte> frame) {
  const std::size_t ip = link_header_length(frame), ip_header = plain_ip_header(frame, ip), udp = ip + ip_header;
  if (ip_header == 0 || frame.size() <= udp + udp_header) return {};
  const bool is_whole = word(frame.data() + udp + udp_length_at) == frame.size() - udp;
  const bool has_sum = word(frame.data() + udp + udp_sum_at) != 0;
  return is_whole && has_sum ? datagram_place{ip, udp, udp + udp_header} : datagram_place{};
}

std::size_t super_packet::count_alike(std::span<packet* const> frames) {
  packet& first = *frames[0];
  if (frames.size() == 1 || first.checksum != checksum_state::own) return 1;
  const auto where = find_datagram(first.bytes());
  if (where.payload == 0) return 1;
  const std::size_t each = first.length - where.payload, most = std::min(frames.size(), most_segments);
  std::size_t n = 1, total = first.length;
  for (bool is_last = false; n < most && !is_last; ++n) {
    packet& next = *frames[n];
    if (!continues(first, next, where, n)) break;
    total += next.length - where.payload;
    if (total > longest) break;
    is_last = next.length - where.payload < each;
  }
  return n;
}

void super_packet::join(std::span<packet* const> frames, iovec* parts) {
  packet& first = *frames[0];
  const auto where = find_datagram(first.bytes());
  std::byte* copy = headers_.data() + virtio_header_length;
  std::memcpy(copy, first.data(), where.payload);
  std::size_t payload = 0;
  for (packet* p : frames) {
    *++parts = {p->data() + where.payload, p->length - where.payload};
    payload += parts->iov_len;
  }
  complete_headers(copy, where, payload);
  write_super_header(headers_.data(), static_cast<std::uint16_t>(where.payload),
                     static_cast<std::uint16_t>(first.length - where.payload));
  *(parts - frames.size()) = {headers_.data(), virtio_header_length + where.payload};
}

std::size_t joiner::divide(std::span<packet* const> frames, division& sizes) {
  const bool joins = is_wanted_ && frames.size() > 1 && (left_ == 0 || --left_ == 0);
  std::size_t count = 0;
  while (!frames.empty()) {
    const std::size_t size = joins ? super_packet::count_alike(frames) : 1;
    sizes[count++] = static_cast<std::uint8_t>(size);
    frames = frames.subspan(size);
  }
  return count;
}

void joiner::refused() {
  left_ = pause_;
  pause_ = std::min(2 * pause_, longest_pause);
}

}  // namespace fastudp
