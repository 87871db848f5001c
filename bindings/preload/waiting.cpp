#include "waiting.h"

#include "events.h"
#include "table.h"

namespace preload {
namespace {

bool has_fast(int fd) {
  epoll_set* set = epoll_set::pin(fd);
  if (set == nullptr) return false;
  const bool out = set->has_fast();
  set->unpin();
  return out;
}

bool is_known_to_be_the_kernels(int fd) {
  const entry e = table.load(fd);
  return fd < 0 || (!e.is_object() && !e.is_unknown());
}

}  // namespace

bool turns_out_to_be_ours(int fd) {
  if (is_known_to_be_the_kernels(fd)) return false;
  if (fast_socket* s = pin_socket(fd)) {
    s->unpin();
    return true;
  }
  return has_fast(fd);
}

bool add_any(watch& list, int fd, short events, std::size_t owner) {
  if (is_known_to_be_the_kernels(fd)) return list.add_descriptor(fd, events, owner);
  if (fast_socket* s = pin_socket(fd)) {
    if (list.add_socket(s, asked(*s, static_cast<unsigned short>(events)), owner)) return true;
    s->unpin_soon();
    return false;
  }
  if (epoll_set* set = epoll_set::pin(fd)) {
    const bool added = !set->has_fast() || set->add_to(list, owner);
    set->unpin();
    if (!added) return false;
  }
  return list.add_descriptor(fd, events, owner);
}

unsigned told_by(watch& list, std::size_t i, unsigned wanted) {
  const watch::origin& from = list.from(i);
  const short found = list.found(i);
  if (from.set != nullptr || found == 0) return 0;
  if (from.socket == nullptr) return static_cast<unsigned short>(found);
  // Something in an epoll set is ready, so the set is.
  return from.is_watched ? wanted & (POLLIN | EPOLLRDNORM) : told(*from.socket, wanted, found);
}

}  // namespace preload
