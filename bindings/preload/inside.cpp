#include "inside.h"

#include <signal.h>

#include "fast_socket.h"

namespace preload {
namespace {

struct thread_state {
  const inside* call = nullptr;
  fast_socket* held = nullptr;
  bool opening = false;
};
constinit thread_local thread_state thread;

// Different for each place, so that a copy of it elsewhere on the stack is none.
std::uint64_t seal_of(const inside* call) { return reinterpret_cast<std::uint64_t>(call) ^ 0x6661737475647021; }

bool contains(const stack_t& stack, const void* place) {
  const auto* low = static_cast<const char*>(stack.ss_sp);
  return place >= low && place < low + stack.ss_size;
}

bool is_on_another_stack_than(const inside* call) {
  stack_t stack;
  return sigaltstack(nullptr, &stack) == 0 && (stack.ss_flags & SS_ONSTACK) && !contains(stack, call);
}

// Stacks grow down: a handler's frames lie below those of the interrupted call, whose seal is still there. Frames that
// a siglongjmp left lie below `here`, or have been written over. A handler on a stack of its own may lie anywhere.
bool is_interrupted(const inside* call, const inside* here, std::uint64_t seal) {
  if (here < call && seal == seal_of(call)) return true;
  return is_on_another_stack_than(call);
}

}  // namespace

void inside::enter(fast_socket* held) {
  if (thread.call != nullptr) [[unlikely]] {
    if (is_interrupted(thread.call, this, thread.call->seal_)) return;
    if (fast_socket* left = thread.held) left->unpin_soon();
  }
  seal_ = seal_of(this);
  entered_ = true;
  thread.held = held;
  thread.call = this;
}

void inside::leave() {
  entered_ = false;
  thread.call = nullptr;
  thread.held = nullptr;
  // Volatile: the frame is about to be left, and the compiler would see no use in this.
  *static_cast<volatile std::uint64_t*>(&seal_) = 0;
}

bool thread_is_inside() { return thread.call != nullptr; }
bool thread_is_opening() { return thread.opening; }
void set_thread_is_opening(bool opening) { thread.opening = opening; }
void forget_where_thread_is() { thread = {}; }

}  // namespace preload
