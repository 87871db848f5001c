/* What the driver net_memif leaves to others when a port of its is closed.
 *
 * Its callbacks run in DPDK's interrupt thread, for example when the other end goes, and free what the closing frees, or
 * write to it afterwards: nothing keeps them apart. And a server's listening socket outlives its port, as does its
 * callback, which the next client has called with what is freed. */
#pragma once

#include <rte_ethdev.h>

int memif_is(uint16_t port);

/* Before a server is opened: removes the file that one of the same name left when it was killed. */
void memif_clear_name(const char* device);

/* Stops whoever connects to the port, and frees the name of its socket, if it is the last port on that. */
void memif_hang_up(uint16_t port);
