#include "passing.h"

#include <cstring>

#include "call.h"
#include "descriptors.h"
#include "real.h"

namespace preload {
namespace {

// Calls visit(fd) until it returns false; then so does this.
template <typename Visit>
bool for_each_passed(const msghdr* m, const Visit& visit) {
  if (m == nullptr || m->msg_control == nullptr || m->msg_controllen < sizeof(cmsghdr)) return true;
  for (cmsghdr* each = CMSG_FIRSTHDR(m); each != nullptr; each = CMSG_NXTHDR(const_cast<msghdr*>(m), each)) {
    const auto* end = static_cast<const char*>(m->msg_control) + m->msg_controllen;
    const bool fits = each->cmsg_len <= static_cast<std::size_t>(end - reinterpret_cast<const char*>(each));
    if (each->cmsg_len < CMSG_LEN(0) || !fits) return true;  // the kernel refuses all
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(each) + i * sizeof fd, sizeof fd);
      if (!visit(fd)) return false;
    }
  }
  return true;
}

// Sockets of Unix alone do.
bool passes_descriptors(int fd) {
  const int error = errno;
  int domain = 0;
  socklen_t size = sizeof domain;
  const bool is_socket = real.getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0;
  errno = error;
  return is_socket && domain == AF_UNIX;
}

}  // namespace

bool hand_over_passed(int way, const msghdr* m) {
  if (!passes_descriptors(way)) return true;
  return for_each_passed(m, [](int fd) {
    const call c(fd);
    return !c || c.hand_over(cause::forked);
  });
}

void after_receiving(const msghdr* m) {
  for_each_passed(m, [](int fd) {
    forget(fd);
    table.store(fd, entry::unknown);
    return true;
  });
}

}  // namespace preload
