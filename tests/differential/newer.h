/* Names that are newer than the headers of the oldest system that this is built on, and some that nobody knows. */
#ifndef DIFFERENTIAL_NEWER_H
#define DIFFERENTIAL_NEWER_H

#include "../../core/socket/option_numbers.h"

#ifndef SO_RESERVE_MEM
#define SO_RESERVE_MEM 73
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif
#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#endif
#ifndef SO_RCVPRIORITY
#define SO_RCVPRIORITY 82
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
#ifndef SO_INQ
#define SO_INQ 84
#endif
#define SO_UNKNOWN 1000
#define IP_UNKNOWN 1000
#define IPV6_UNKNOWN 1000
#define UDP_UNKNOWN 1000

#endif
