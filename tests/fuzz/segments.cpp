// Any frame as a super-packet of any segment size: the pieces are whole datagrams, stay within what they said they
// would need, and their payloads are the frame's, in order. The input is the size, two bytes, and the frame.

#include "link/segments.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/byte_order.h"
#include "wire/checksum.h"

namespace fastudp {
namespace {

constexpr std::size_t udp_header = 8;

void require(bool holds) {
  if (!holds) std::abort();
}

// Returns its payload; its headers say how long it is.
std::span<const std::byte> check_datagram(std::span<const std::byte> piece) {
  std::size_t ip_at = ethernet_header_length;
  const auto type = [&] { return load_network<std::uint16_t>(&piece[ip_at - 2]); };
  while ((type() == 0x8100 || type() == 0x88a8) && ip_at < longest_link_header) ip_at += vlan_tag_length;
  const std::byte* ip = piece.data() + ip_at;
  if (load_network<std::uint16_t>(ip - 2) == 0x86dd) {
    constexpr std::size_t header = 40;
    require(load_network<std::uint16_t>(ip + 4) == piece.size() - ip_at - header);
    return piece.subspan(ip_at + header + udp_header);
  }
  const std::size_t ip_header = static_cast<std::size_t>(ip[0] & std::byte{0xf}) * 4;
  require(load_network<std::uint16_t>(ip + 2) == piece.size() - ip_at);
  require(load_network<std::uint16_t>(ip + ip_header + 4) == piece.size() - ip_at - ip_header);
  require(verify_checksum(std::span(ip, ip_header)));
  return piece.subspan(ip_at + ip_header + udp_header);
}

void check(std::span<const std::byte> frame, std::uint32_t size) {
  const segments pieces(frame, size);
  if (pieces.is_whole()) return require(pieces.count() == 1);
  // In memory of exactly its size, so that the address sanitizer sees the first byte too many.
  const std::unique_ptr<std::byte[]> room(new std::byte[pieces.room_needed()]);
  const std::size_t header = pieces.room_needed() - size;
  std::size_t at = header;
  for (std::size_t i = 0; i < pieces.count(); ++i) {
    const std::size_t length = pieces.write(i, {room.get(), pieces.room_needed()});
    require(length > header && length <= pieces.room_needed());
    const auto payload = check_datagram({room.get(), length});
    require(at + payload.size() <= frame.size());
    require(std::memcmp(payload.data(), frame.data() + at, payload.size()) == 0);
    at += payload.size();
  }
  require(at == frame.size());
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  // The longest frame that a kernel makes.
  if (size < 2 || size > 65'536) return 0;
  fastudp::check(input.subspan(2), fastudp::load_network<std::uint16_t>(input.data()));
  return 0;
}
