#pragma once
// Linux's poll events, which epoll shares, of a UDP socket.

#include <poll.h>
#include <sys/epoll.h>

#include "fast_socket.h"

namespace preload {

static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR && EPOLLHUP == POLLHUP &&
              EPOLLPRI == POLLPRI);
static_assert(EPOLLRDNORM == 0x40 && EPOLLWRNORM == 0x100 && EPOLLWRBAND == 0x200 && EPOLLRDHUP == 0x2000);

// What to wait for, when the program asks for `wanted`. A socket that is shut for reading is readable for good.
inline short asked(const fast_socket& s, unsigned wanted) {
  short out = static_cast<short>(wanted & EPOLLPRI);  // SO_SELECT_ERR_QUEUE, of the kernel's half
  if (wanted & (EPOLLIN | EPOLLRDNORM)) out |= POLLIN;
  if ((wanted & EPOLLRDHUP) && s.receive_is_shut.load(std::memory_order_relaxed)) out |= POLLIN;
  if (wanted & EPOLLPRI) out |= POLLPRI;
  if (wanted & (EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)) out |= POLLOUT;
  return out;
}

// What the program is told.
inline unsigned told(const fast_socket& s, unsigned wanted, short found) {
  unsigned out = static_cast<unsigned>(found) & (EPOLLERR | EPOLLHUP | EPOLLPRI);
  if (found & POLLIN) out |= EPOLLIN | EPOLLRDNORM;
  if ((found & POLLIN) && s.receive_is_shut.load(std::memory_order_relaxed)) out |= EPOLLRDHUP;
  if (found & POLLOUT) out |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
  return out & (wanted | EPOLLERR | EPOLLHUP);
}

}  // namespace preload
