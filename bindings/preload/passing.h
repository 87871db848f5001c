#pragma once
// Descriptors that are passed to another process, or come from one (SCM_RIGHTS).

#include <sys/socket.h>

namespace preload {

// Sockets of ours that a message by `fd` is about to carry away become the kernel's. False, with errno: that is
// forbidden.
bool hand_over_passed(int fd, const msghdr* m);
inline bool before_passing(int fd, const msghdr* m) {
  return m == nullptr || m->msg_control == nullptr || m->msg_controllen == 0 || hand_over_passed(fd, m);
}
// What a message has brought may be a UDP socket.
void after_receiving(const msghdr* m);

}  // namespace preload
