#pragma once
// Whether this thread is inside fastudp already: a signal handler that interrupted a call must not go in again.

#include <cstdint>

namespace preload {

class fast_socket;

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

  // `held` is a pinned socket, or null; it is let go when a siglongjmp has left the call for good.
  void enter(fast_socket* held);
  void leave();
  // False: the thread is in a call that a signal handler interrupted.
  explicit operator bool() const { return entered_; }

 private:
  std::uint64_t seal_ = 0;
  bool entered_ = false;
};

bool thread_is_inside();
// All that this thread does while the stack is opened belongs to the library, what its plugins do included.
bool thread_is_opening();
void set_thread_is_opening(bool opening);
// Signal handlers aside, a child of fork begins outside.
void forget_where_thread_is();

}  // namespace preload
