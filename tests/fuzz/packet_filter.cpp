// Any bytes as a program of classic BPF over any data: it ends, and reads nothing that it wasn't given. The input is
// the number of instructions, the instructions, and the data, of which the first part is in front of the rest.

#include "socket/packet_filter.h"

#include <cstdint>
#include <cstring>
#include <memory>

namespace fastudp {
namespace {

void check(std::span<const std::byte> input) {
  const std::size_t count = static_cast<std::size_t>(input[0]);
  input = input.subspan(1);
  if (input.size() < count * sizeof(sock_filter)) return;
  // In memory of exactly their sizes, so that the address sanitizer sees the first byte too many.
  const std::unique_ptr<sock_filter[]> steps(new sock_filter[count]);
  std::memcpy(steps.get(), input.data(), count * sizeof(sock_filter));
  input = input.subspan(count * sizeof(sock_filter));
  const std::unique_ptr<std::byte[]> data(new std::byte[input.size()]);
  std::ranges::copy(input, data.get());
  const std::span<const std::byte> whole(data.get(), input.size());
  random_source random(1);
  const std::span<const sock_filter> program(steps.get(), count);
  (void)can_run(program);
  (void)run_filter(program, {.data = whole.subspan(whole.size() / 2), .network = whole, .random = &random});
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size != 0) fastudp::check(std::as_bytes(std::span(data, size)));
  return 0;
}
