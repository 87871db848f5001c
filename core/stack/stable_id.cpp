#include "stack/stable_id.h"

#include <algorithm>
#include <array>

namespace fastudp {
namespace {

// RFC 7217 5: F(Prefix, Net_Iface, Network_ID, DAD_Counter, secret_key), without the network's name, which Ethernet
// hasn't. The last byte counts how often the result was one that is reserved.
std::uint64_t id_of(const ip_address& prefix, const stable_id_source& source, std::uint8_t attempt,
                    std::uint8_t passed_over) {
  std::array<std::uint8_t, 16> message{};
  std::copy_n(prefix.bytes.begin(), 8, message.begin());
  std::ranges::copy(source.mac.bytes, message.begin() + 8);
  message[14] = attempt;
  message[15] = passed_over;
  return sip_hash(std::as_bytes(std::span(message)), source.secret);
}

}  // namespace

bool is_reserved_interface_id(std::uint64_t id) {
  const bool is_ethernets = id >> 24 == 0x0200'5eff'fe;
  const bool is_anycast = id >= 0xfdff'ffff'ffff'ff80 && id <= 0xfdff'ffff'ffff'ffff;
  return id == 0 || is_ethernets || is_anycast;
}

ip_address stable_address(const ip_address& prefix, const stable_id_source& source, std::uint8_t attempt) {
  std::uint8_t passed_over = 0;
  std::uint64_t id = id_of(prefix, source, attempt, passed_over);
  while (is_reserved_interface_id(id)) id = id_of(prefix, source, attempt, ++passed_over);
  ip_address out = prefix;
  for (std::size_t i = 16; i-- > 8; id >>= 8) out.bytes[i] = static_cast<std::uint8_t>(id);
  return out;
}

}  // namespace fastudp
