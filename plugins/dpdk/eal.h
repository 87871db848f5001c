/* DPDK's environment abstraction layer, started once in a process and without a sign of it. */
#pragma once

#include <stddef.h>

/* With `options` besides the default ones, or null. EPERM: it was started by a process that this one was forked from;
 * EBUSY: it runs with other options. */
int eal_start(const char* device, const char* options, char* why, size_t why_size);

/* Until the next call: the first line that DPDK or a driver writes to its log is kept. */
void log_listen(void);
/* That line, or what an error number of DPDK's means. */
const char* log_said(int code);
