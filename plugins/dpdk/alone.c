/* An errand for DPDK's interrupt thread: see alone.h. */
#include "alone.h"

#include <errno.h>
#include <pthread.h>
#include <rte_interrupts.h>
#include <semaphore.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct errand {
  void (*call)(void* with);
  void* with;
  sem_t done;
};

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static struct errand* errand;
static int bell = -1; /* an eventfd */

/* An interrupt of its own rather than DPDK's alarm, which runs several in a row: from one errand to the next, the thread
 * has asked anew which descriptors are ready. */
static void run_errand(void* unused) {
  (void)unused;
  uint64_t count;
  (void)!read(bell, &count, sizeof count);
  errand->call(errand->with);
  sem_post(&errand->done);
}

static int register_bell(int fd) {
  struct rte_intr_handle* handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
  const int is_registered = handle && rte_intr_fd_set(handle, fd) == 0 &&
                            rte_intr_type_set(handle, RTE_INTR_HANDLE_EXT) == 0 &&
                            rte_intr_callback_register(handle, run_errand, NULL) == 0;
  rte_intr_instance_free(handle); /* DPDK has a copy */
  return is_registered;
}

static int has_bell(void) {
  if (bell >= 0) return 1;
  bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (bell < 0) return 0;
  if (register_bell(bell)) return 1;
  close(bell);
  bell = -1;
  return 0;
}

static int ring(struct errand* e) {
  const uint64_t one = 1;
  errand = e;
  if (write(bell, &one, sizeof one) != sizeof one) return 0;
  while (sem_wait(&e->done) != 0 && errno == EINTR) continue;
  return 1;
}

void alone(void (*call)(void* with), void* with) {
  if (rte_thread_is_intr()) return call(with);
  struct errand e = {.call = call, .with = with};
  sem_init(&e.done, 0, 0);
  pthread_mutex_lock(&one_at_a_time);
  const int is_done = has_bell() && ring(&e);
  pthread_mutex_unlock(&one_at_a_time);
  sem_destroy(&e.done);
  if (!is_done) call(with);
}
