/* What must not happen while a driver's callback runs. Those of net_memif and net_virtio_user run in DPDK's interrupt thread, and use
 * what closing their port frees: net_memif has nothing that keeps both apart, and net_virtio_user doesn't look whether its
 * callback could be taken back. */
#pragma once

/* While no callback of a driver runs, and after all of those that were due before the call. */
void alone(void (*call)(void* with), void* with);
