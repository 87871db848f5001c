#include "endpoint/machine_secret.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>

#include "base/descriptor.h"

namespace fastudp {
namespace {

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

// machine-id(5): nobody outside may see it, and each purpose has a hash of its own.
std::optional<sip_key> secret_of(std::string_view machine_id) {
  constexpr std::size_t digits = 32;
  constexpr std::uint64_t purpose = 0x736c616163'696473;
  const std::string_view id = machine_id.substr(0, digits);
  const std::string_view behind = machine_id.substr(id.size());
  if (id.size() != digits || !std::ranges::all_of(id, is_hex) || (!behind.empty() && behind != "\n"))
    return std::nullopt;
  const auto bytes = std::as_bytes(std::span(id));
  return sip_key{sip_hash(bytes, {purpose, 1}), sip_hash(bytes, {purpose, 2})};
}

sip_key machine_secret() {
  char text[64];
  const descriptor file(::open("/etc/machine-id", O_RDONLY | O_CLOEXEC));
  const ssize_t size = file ? ::read(file.number(), text, sizeof text) : 0;
  if (const auto found = secret_of({text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))})) return *found;
  sip_key random{};
  (void)!::getrandom(&random, sizeof random, 0);
  return random;
}

}  // namespace fastudp
