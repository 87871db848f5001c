#include "endpoint/fork.h"

#include <pthread.h>

#include "endpoint/engine.h"

namespace fastudp {
namespace {

pthread_mutex_t list_guard = PTHREAD_MUTEX_INITIALIZER;
engine* engines = nullptr;
pthread_once_t registered = PTHREAD_ONCE_INIT;

void before_fork() {
  pthread_mutex_lock(&list_guard);
  for (engine* e = engines; e != nullptr; e = e->next_engine) e->before_fork();
}

void after_fork_in_parent() {
  for (engine* e = engines; e != nullptr; e = e->next_engine) e->after_fork_in_parent();
  pthread_mutex_unlock(&list_guard);
}

void after_fork_in_child() {
  for (engine* e = engines; e != nullptr; e = e->next_engine) e->after_fork_in_child();
  pthread_mutex_unlock(&list_guard);
}

// Programs end without closing their stacks. A lock that a thread had when it ended the process isn't waited for.
__attribute__((destructor)) void at_end_of_process() {
  if (pthread_mutex_trylock(&list_guard) != 0) return;
  for (engine* e = engines; e != nullptr; e = e->next_engine) e->count_last_losses();
  pthread_mutex_unlock(&list_guard);
}

void register_handlers() { (void)pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); }

}  // namespace

status survive_forks(engine& e) {
  if (const int problem = pthread_once(&registered, register_handlers)) return error{problem};
  pthread_mutex_lock(&list_guard);
  e.next_engine = engines;
  engines = &e;
  pthread_mutex_unlock(&list_guard);
  return {};
}

void forget(engine& e) {
  pthread_mutex_lock(&list_guard);
  engine** at = &engines;
  while (*at != nullptr && *at != &e) at = &(*at)->next_engine;
  if (*at != nullptr) *at = e.next_engine;
  pthread_mutex_unlock(&list_guard);
}

}  // namespace fastudp
