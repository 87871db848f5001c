// Round trips between two hosts, for the tests that count what they cost.
#pragma once

#include "hosts.h"

enum { largest_burst = 64 };

// Sends `count` datagrams there and back, `burst` at a time, by copy or without. Every call finds what it asks for, so
// that none of them waits. Returns how many calls of the library that took, -1 when something went wrong.
int round_trips(struct hosts* hosts, int count, int burst, int zero_copy);
