// Checksums of any bytes, cut at places that the bytes themselves say.
#include "wire/checksum.h"

#include "fuzz/wire/checksum_checks.h"
#include "fuzz/wire/header_checks.h"

namespace fastudp {
namespace {

void check_kernels(std::span<const std::byte> bytes, std::uint16_t expected) {
  octet_string copy(bytes.size());
  static const auto kernels = checksum_kernels();
  for (const auto& kernel : kernels) {
    require(network_order(wire::fold(kernel.sum(bytes.data(), bytes.size()))) == expected, kernel.name);
    const std::uint64_t copied = kernel.copy_and_sum(copy.data(), bytes.data(), bytes.size());
    require(network_order(wire::fold(copied)) == expected && std::ranges::equal(copy, bytes), kernel.name);
  }
}

// The first byte of each piece says how long it is.
void check_pieces(std::span<const std::byte> bytes, std::uint16_t expected) {
  checksum_sum added, copied;
  octet_string copy(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t wanted = 1 + std::to_integer<std::size_t>(bytes[at]);
    const auto piece = bytes.subspan(at, std::min(wanted, bytes.size() - at));
    added.add(piece);
    copied.add_copy(copy.data() + at, piece);
    at += piece.size();
  }
  require(added.folded() == expected && copied.folded() == expected, "pieces are one message");
  require(std::ranges::equal(copy, bytes), "and are copied");
}

void check_whole(std::span<const std::byte> bytes, std::uint16_t expected) {
  require(checksum(bytes) == static_cast<std::uint16_t>(~expected), "the checksum is the complement of the plain sum");
  require(verify_checksum(bytes) == (expected == 0xffff), "and verifies where it stands in the message");
  octet_string copy(bytes.size());
  require(copy_and_sum(copy.data(), bytes).folded() == expected, "a copy is summed on the way");
  require(std::ranges::equal(copy, bytes), "and is the same");
}

void check_update(std::span<const std::byte> bytes) {
  if (bytes.size() < 6 || plain_sum(bytes.subspan(4)) == 0) return;  // all zero: RFC 1624's two zeros differ
  octet_string message(bytes.begin() + 2, bytes.end());
  const std::uint16_t before = checksum(message);
  const auto old_word = load_network<std::uint16_t>(message.data());
  const auto new_word = load_network<std::uint16_t>(bytes.data());
  store_network(message.data(), new_word);
  require(update_checksum(before, old_word, new_word) == checksum(message), "an update is what recomputing gives");
}

void check(std::span<const std::byte> bytes) {
  const std::uint16_t expected = plain_sum(bytes);
  check_whole(bytes, expected);
  check_kernels(bytes, expected);
  check_pieces(bytes, expected);
  check_update(bytes);
}

}  // namespace
}  // namespace fastudp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fastudp::check(fastudp::input(data, size));
  return 0;
}
