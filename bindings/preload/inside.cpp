#include "inside.h"

#include <pthread.h>
#include <signal.h>

#include <cstdlib>
#include <new>

#include "epoll_set.h"
#include "fast_socket.h"
#include "library.h"
#include "real.h"
#include "watch.h"

namespace preload {
namespace {

struct thread_state {
  const inside* call = nullptr;
  fast_socket* held = nullptr;
  epoll_set* set = nullptr;
  watch* list = nullptr;
  bool opening = false, end_is_noticed = false;
};
constinit thread_local thread_state thread;

// Of libpthread, where that is a library of its own.
struct thread_calls {
  void (*test_cancel)() = nullptr;
  int (*set_specific)(pthread_key_t, const void*) = nullptr;
};
constinit thread_calls threads;
constinit pthread_key_t key_of_end{};

// What a call held that nobody will return from: first it is taken out of the waiting room.
void let_go_of_what_was_left() {
  if (library::stack() != nullptr) fastudp_wait(library::stack(), nullptr, 0, 0, nullptr);
  if (thread.list != nullptr) thread.list->clear();
  if (thread.held != nullptr) thread.held->unpin_soon();
  if (thread.set != nullptr) thread.set->unpin();
  thread.held = nullptr;
  thread.set = nullptr;
}

void at_end_of_thread(void*) {
  if (thread.call != nullptr) {
    thread.call = nullptr;
    let_go_of_what_was_left();
    if (fast_socket::has_dead()) fast_socket::bury_the_dead();
  }
  if (thread.list != nullptr) thread.list->~watch();
  std::free(thread.list);
  thread = {};
}

void notice_end_of_this_thread() {
  thread.end_is_noticed = true;
  if (threads.set_specific != nullptr) threads.set_specific(key_of_end, &thread);
}

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

void inside::enter(fast_socket* held, epoll_set* set) {
  if (thread.call != nullptr) [[unlikely]] {
    if (is_interrupted(thread.call, this, thread.call->seal_)) return;
    let_go_of_what_was_left();
  }
  if (!thread.end_is_noticed) [[unlikely]]
    notice_end_of_this_thread();
  seal_ = seal_of(this);
  entered_ = true;
  thread.held = held;
  thread.set = set;
  thread.call = this;
}

void inside::leave() {
  entered_ = false;
  thread.call = nullptr;
  thread.held = nullptr;
  thread.set = nullptr;
  // Volatile: the frame is about to be left, and the compiler would see no use in this.
  *static_cast<volatile std::uint64_t*>(&seal_) = 0;
}

bool thread_is_inside() { return thread.call != nullptr; }
bool thread_is_opening() { return thread.opening; }
void set_thread_is_opening(bool opening) { thread.opening = opening; }

// Its memory, and that its end is noticed, the child has as well.
void forget_where_thread_is() {
  thread.call = nullptr;
  thread.held = nullptr;
  thread.set = nullptr;
  thread.list = nullptr;
  thread.opening = false;
}

watch* watch_of_thread() {
  if (thread.list != nullptr) return thread.list;
  void* memory = std::malloc(sizeof(watch));
  return thread.list = memory != nullptr ? new (memory) watch : nullptr;
}

void end_if_cancelled() {
  if (threads.test_cancel != nullptr) threads.test_cancel();
}

void notice_ends_of_threads() {
  find_in_process(threads.test_cancel, "pthread_testcancel");
  int (*create)(pthread_key_t*, void (*)(void*)) = nullptr;
  find_in_process(create, "pthread_key_create");
  if (create == nullptr || create(&key_of_end, at_end_of_thread) != 0) return;
  find_in_process(threads.set_specific, "pthread_setspecific");
}

}  // namespace preload
