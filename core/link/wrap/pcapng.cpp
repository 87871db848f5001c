#include "link/wrap/pcapng.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

namespace fastudp::wrap {
namespace {

constexpr std::uint32_t section_block = 0x0a0d0d0a, interface_block = 1, packet_block = 6;
constexpr std::uint32_t byte_order_magic = 0x1a2b3c4d;
constexpr std::uint16_t link_type_ethernet = 1;

constexpr std::uint32_t padding(std::uint32_t length) { return -length % 4; }

// Sections 4.1 and 4.2, fields in the order of the file; all multiples of their size.
struct file_header {
  std::uint32_t section = section_block, section_length = 28, magic = byte_order_magic;
  std::uint16_t major = 1, minor = 0;
  std::uint32_t unknown_length[2] = {~0u, ~0u};  // of the whole section
  std::uint32_t section_length_again = 28;

  std::uint32_t interface = interface_block, interface_length = 32;
  std::uint16_t link_type = link_type_ethernet, reserved = 0;
  std::uint32_t longest_packet = 0;  // no limit
  std::uint16_t resolution_option = 9, resolution_length = 1;
  std::uint8_t resolution = 9, resolution_padding[3] = {};  // 10^-9 s
  std::uint16_t end_option = 0, end_length = 0;
  std::uint32_t interface_length_again = 32;
};
static_assert(sizeof(file_header) == 28 + 32);

// Section 4.3, before and behind the frame's bytes.
struct packet_head {
  std::uint32_t type = packet_block, block_length = 0, interface = 0;
  std::uint32_t time_high = 0, time_low = 0;
  std::uint32_t captured_length = 0, original_length = 0;
};
struct packet_tail {
  std::uint32_t frame_padding = 0;
  std::uint16_t flags_option = 2, flags_length = 4;
  std::uint32_t flags = 0;
  std::uint16_t end_option = 0, end_length = 0;
  std::uint32_t block_length = 0;
};
static_assert(sizeof(packet_head) == 28 && sizeof(packet_tail) == 20);

struct packet_record {
  packet_head head;
  packet_tail tail;

  std::uint32_t describe(packet& frame, direction way, time_point now) {
    const auto time = static_cast<std::uint64_t>(now);
    const auto fixed = static_cast<std::uint32_t>(sizeof head + sizeof tail - sizeof tail.frame_padding);
    tail.flags = static_cast<std::uint32_t>(way);
    head.time_high = static_cast<std::uint32_t>(time >> 32);
    head.time_low = static_cast<std::uint32_t>(time);
    head.captured_length = head.original_length = frame.length;
    head.block_length = tail.block_length = fixed + frame.length + padding(frame.length);
    return head.block_length;
  }

  void point_to(packet& frame, std::span<iovec, 3> parts) {
    const std::uint32_t skipped = 4 - padding(frame.length);
    parts[0] = {&head, sizeof head};
    parts[1] = {frame.data(), frame.length};
    parts[2] = {reinterpret_cast<std::byte*>(&tail) + skipped, sizeof tail - skipped};
  }
};

}  // namespace

result<pcapng_file> pcapng_file::create(const char* path, reason& why) {
  pcapng_file out;
  out.file_ = descriptor(::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0600));
  if (!out.file_) return why.fail(errno, "capture=%.100s can't be written: %m", path);
  struct statx found;
  if (::statx(out.file_.number(), "", AT_EMPTY_PATH, STATX_TYPE, &found) != 0 || !S_ISREG(found.stx_mode)) {
    return why.fail(EINVAL, "capture=%.100s is not a regular file: name one", path);
  }
  const file_header header;
  if (::pwrite(out.file_.number(), &header, sizeof header, 0) != ssize_t{sizeof header}) {
    return why.fail(ENOSPC, "capture=%.100s takes no bytes: is the disk full?", path);
  }
  out.end_ = sizeof header;
  return out;
}

void pcapng_file::write(std::span<packet* const> frames, direction way, time_point now) {
  if (!file_ || frames.empty()) return;
  std::array<packet_record, burst::capacity> records;
  std::array<iovec, 3 * burst::capacity> parts;
  std::size_t total = 0;
  for (written_ = 0; written_ < frames.size(); ++written_) {
    auto& record = records[written_];
    lengths_[written_] = record.describe(*frames[written_], way, now);
    record.point_to(*frames[written_], std::span(parts).subspan(3 * written_).first<3>());
    total += lengths_[written_];
  }
  const auto n = ::pwritev(file_.number(), parts.data(), static_cast<int>(3 * written_), end_);
  if (n == static_cast<ssize_t>(total)) return;
  keep(0);
  file_ = {};
}

void pcapng_file::keep(std::size_t frames) {
  const std::size_t kept = std::min(frames, written_);
  for (std::size_t i = 0; i < kept; ++i) end_ += lengths_[i];
  if (kept < written_) [[maybe_unused]]
    const int cut = ::ftruncate(file_.number(), end_);
  written_ = 0;
}

}  // namespace fastudp::wrap
