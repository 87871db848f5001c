#include "endpoint/own_filter.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "host/companion.h"

namespace fastudp {

result<packet_filter> read_program(std::span<const std::byte> value) {
  auto judge = companion::open(ip_family::v4);
  if (!judge) return judge.failure();
  if (auto judged = judge->set_option(SOL_SOCKET, SO_ATTACH_FILTER, value); !judged) return judged.failure();
  sock_fprog given;
  std::memcpy(&given, value.data(), sizeof given);
  return packet_filter::copy({given.filter, given.len});
}

result<std::size_t> write_program(const packet_filter& filter, std::byte* to, std::size_t room) {
  const auto program = filter.program();
  if (room == 0) return program.size();
  if (room < program.size()) return error{EINVAL};
  if (!program.empty()) std::memcpy(to, program.data(), program.size_bytes());
  return program.size();
}

}  // namespace fastudp
