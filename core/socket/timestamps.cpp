#include "socket/timestamps.h"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "socket/options.h"
#include "socket/udp_layer.h"
#include "socket/udp_socket.h"

namespace fastudp {
namespace {

using namespace stamping;

struct choice {
  int name;
  bool nanoseconds, has_new_layout;
};
constexpr choice choices[] = {{stamp_option::old_us, false, false},
                              {stamp_option::old_ns, true, false},
                              {stamp_option::new_us, false, true},
                              {stamp_option::new_ns, true, true}};

const choice* find(int name) {
  const auto* found = std::ranges::find(choices, name, &choice::name);
  return found == std::end(choices) ? nullptr : found;
}

std::uint32_t word_at(std::span<const std::byte> value) {
  std::uint32_t out;
  std::memcpy(&out, value.data(), sizeof out);
  return out;
}

// As Linux, whatever was asked for before: one of four, or none.
void choose(stamp_settings& stamps, const choice& which, bool on) {
  stamps.wanted = on;
  stamps.nanoseconds = on && which.nanoseconds;
  if (on) stamps.has_new_layout = which.has_new_layout;
}

status check_flags(std::uint32_t flags) {
  if ((flags & ~all) != 0) return error{EINVAL};
  if ((flags & with_id_tcp) != 0 && (flags & with_id) == 0) return error{EINVAL};
  if ((flags & with_stats) != 0 && (flags & stamp_only) == 0) return error{EINVAL};
  return {};
}

status set_flags(udp_socket& socket, bool has_new_layout, std::uint32_t flags) {
  if (auto valid = check_flags(flags); !valid) return valid;
  const sharing with_host = socket.layer().below().with_host();
  if ((flags & hardware) != 0 && with_host == sharing::interface) return error{ENOPROTOOPT};
  if ((flags & of_clock) != 0) return error{EOPNOTSUPP};  // of a socket that is bound to no device
  stamp_settings& stamps = socket.settings().stamps;
  if ((flags & with_id) != 0 && (stamps.flags & with_id) == 0) stamps.next_id = 0;
  stamps.flags = flags;
  stamps.has_new_layout = has_new_layout;
  return {};
}

// Nobody looks at the clock for a socket that doesn't want to know.
void count(udp_socket& socket) {
  stamp_settings& stamps = socket.settings().stamps;
  const bool needs_clock = stamps.wanted || (stamps.flags & rx_software) != 0;
  if (needs_clock == stamps.is_counted) return;
  stamps.is_counted = needs_clock;
  socket.layer().want_stamps(needs_clock);
}

int value_of(const stamp_settings& stamps, const choice& which) {
  if (which.has_new_layout != stamps.has_new_layout) return 0;
  // Linux: SO_TIMESTAMP_NEW is on whichever of the new ones it is.
  if (which.has_new_layout && !which.nanoseconds) return stamps.wanted;
  return which.nanoseconds ? stamps.nanoseconds : stamps.wanted && !stamps.nanoseconds;
}

}  // namespace

bool is_stamp_option(int level, int name) {
  return level == SOL_SOCKET &&
         (find(name) != nullptr || name == stamp_option::old_flags || name == stamp_option::new_flags);
}

status set_stamp_option(udp_socket& socket, int name, std::span<const std::byte> value) {
  status outcome;
  if (const choice* which = find(name)) {
    choose(socket.settings().stamps, *which, word_at(value) != 0);
  } else {
    outcome = set_flags(socket, name == stamp_option::new_flags, word_at(value));
  }
  count(socket);
  return outcome;
}

std::size_t get_stamp_option(const udp_socket& socket, int name, std::span<std::byte> value) {
  const stamp_settings& stamps = socket.settings().stamps;
  const choice* which = find(name);
  const bool is_told = name == stamp_option::old_flags || stamps.has_new_layout;
  const std::uint32_t flags_and_clock[2] = {is_told ? stamps.flags : 0, 0};
  const int number = which != nullptr ? value_of(stamps, *which) : 0;
  const auto all_bytes =
      which != nullptr ? std::as_bytes(std::span(&number, 1)) : std::as_bytes(std::span(flags_and_clock));
  const std::size_t written = std::min(all_bytes.size(), value.size());
  std::memcpy(value.data(), all_bytes.data(), written);
  return written;
}

// The later numbers come last: the kernel says 0 by them unless they were used.
void copy_stamp_options(udp_socket& socket, option_source& from) {
  constexpr int names[] = {stamp_option::old_us, stamp_option::new_us,    stamp_option::old_ns,
                           stamp_option::new_ns, stamp_option::old_flags, stamp_option::new_flags};
  for (const int name : names) {
    std::uint32_t set = 0;
    const auto size = from.get_option(SOL_SOCKET, name, std::as_writable_bytes(std::span(&set, 1)));
    if (size && set != 0) (void)set_stamp_option(socket, name, std::as_bytes(std::span(&set, 1)));
  }
}

std::uint32_t next_stamp_id(udp_socket& socket) {
  return std::atomic_ref(socket.settings().stamps.next_id).fetch_add(1, std::memory_order_relaxed);
}

void take_back_stamp_id(udp_socket& socket, std::uint32_t id) {
  std::uint32_t next = id + 1;
  std::atomic_ref(socket.settings().stamps.next_id).compare_exchange_strong(next, id, std::memory_order_relaxed);
}

}  // namespace fastudp
