#pragma once
// What every hook on a socket begins with.

#include <cerrno>
#include <cstdint>

#include "fast_socket.h"
#include "inside.h"
#include "library.h"
#include "table.h"

namespace preload {

enum class direction { none, receiving, sending };

// A call of the program's on a socket of ours: pinned, and the thread marked, until its end. False: the descriptor
// isn't ours, or the call comes from a signal handler that interrupted another; then libc's own function does it all.
class call {
 public:
  explicit call(int fd, direction way = direction::none) {
    if (!is_foreign(fd)) [[unlikely]]
      begin(fd, way);
  }
  ~call() {
    if (socket_ != nullptr) end();
  }
  call(const call&) = delete;
  call& operator=(const call&) = delete;

  explicit operator bool() const { return socket_ != nullptr; }
  fast_socket* operator->() const { return socket_; }
  fastudp_socket* handle() const { return socket_->handle(); }
  // The program moved datagrams through the kernel, since what it asked for doesn't translate.
  void count(std::int64_t received, std::int64_t sent, cause why = cause::option) const;
  // From now on the kernel's. False, with errno, when the user forbids that.
  bool hand_over(cause why) const;

 private:
  void begin(int fd, direction way);
  void end();

  fast_socket* socket_ = nullptr;
  inside mark_;
};

// As libc returns it.
inline std::int64_t give(std::int64_t result) {
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}
inline int give_int(std::int64_t result) { return static_cast<int>(give(result)); }

}  // namespace preload
