#pragma once
// Whether this thread is inside fastudp already: a signal handler that interrupted a call must not go in again.

#include <cstdint>

namespace preload {

class epoll_set;
class fast_socket;
class watch;

// A call into fastudp; lives in the frame of the hook.
class inside {
 public:
  inside() = default;
  explicit inside(fast_socket* held) { enter(held); }
  inside(const inside&) = delete;
  inside& operator=(const inside&) = delete;
  ~inside() {
    if (entered_) leave();
  }

  // `held` and `set` are pinned, or null; they are let go when a siglongjmp has left the call for good, or the thread
  // has ended within it.
  void enter(fast_socket* held, epoll_set* set = nullptr);
  void leave();
  // False: the thread is in a call that a signal handler interrupted.
  explicit operator bool() const { return entered_; }

 private:
  std::uint64_t seal_ = 0;
  bool entered_ = false;
};

bool thread_is_inside();
// What this thread waits for; it is let go like what a call holds. Null: no memory.
watch* watch_of_thread();
// If the thread is being cancelled it ends here.
void end_if_cancelled();
// Threads that end within a call are seen from now on.
void notice_ends_of_threads();
// All that this thread does while the stack is opened belongs to the library, what its plugins do included.
bool thread_is_opening();
void set_thread_is_opening(bool opening);
// Signal handlers aside, a child of fork begins outside.
void forget_where_thread_is();

}  // namespace preload
