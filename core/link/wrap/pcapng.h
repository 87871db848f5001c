#pragma once
// Frames to a pcapng file (draft-ietf-opsawg-pcapng), as Wireshark and tshark read it.

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/descriptor.h"
#include "base/reason.h"
#include "base/result.h"
#include "base/time.h"
#include "packet/burst.h"

namespace fastudp::wrap {

// The two low bits of a packet block's flags.
enum class direction : std::uint32_t { received = 1, transmitted = 2 };

// One Ethernet interface. Each write is one system call and unbuffered, so that the file is whole whenever it is looked
// at. When the disk is full the file ends with the last frame that fitted.
class pcapng_file {
 public:
  pcapng_file() = default;
  // Makes the regular file `path`, readable by its owner only, or empties it.
  static result<pcapng_file> create(const char* path, reason& why);

  // Writes at most a burst of frames, all of one moment. keep() then says how many of them the link took; the others
  // are cut off again.
  void write(std::span<packet* const> frames, direction way, time_point now);
  void keep(std::size_t frames);

 private:
  descriptor file_;
  off_t end_ = 0;                                         // of what was kept
  std::size_t written_ = 0;                               // blocks behind it
  std::array<std::uint32_t, burst::capacity> lengths_{};  // of these
};

}  // namespace fastudp::wrap
