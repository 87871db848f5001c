#pragma once
// What poll, select and epoll have in common.

#include "epoll_set.h"
#include "fast_socket.h"
#include "inside.h"
#include "watch.h"

namespace preload {

// Whether waiting for it needs us: a socket of ours, or an epoll set with one.
bool turns_out_to_be_ours(int fd);
// Without a call in it, so that it costs the many waits little that aren't about us.
inline bool is_surely_not_ours(int fd) {
  const entry known = table.load_near(fd);
  if (known.is_foreign()) [[likely]]
    return true;
  const epoll_set* set = known.set();
  return set != nullptr && set->is_empty();
}
inline bool is_ours(int fd) { return !is_surely_not_ours(fd) && turns_out_to_be_ours(fd); }
// Adds a descriptor that the program waits for, whatever it is. False: no memory.
bool add_any(watch& list, int fd, short events, std::size_t owner);
// What one item says of its owner, which asked for `wanted`.
unsigned told_by(watch& list, std::size_t i, unsigned wanted);

// A call that waits: the thread is inside, and at the end closes what was closed meanwhile. `set` is pinned, or null.
class waiting : public inside {
 public:
  explicit waiting(epoll_set* set = nullptr) {
    end_if_cancelled();
    enter(nullptr, set);
    list_ = *this ? watch_of_thread() : nullptr;
  }
  ~waiting() {
    if (list_ != nullptr) list_->clear();
    if (*this && fast_socket::has_dead()) fast_socket::bury_the_dead();
  }
  // Null: no memory.
  watch* list() const { return list_; }

 private:
  watch* list_ = nullptr;
};

}  // namespace preload
