#pragma once
// Engines of a process that forks: no lock is held by a thread that the child doesn't have, and the child knows what it
// is.

#include "base/result.h"

namespace fastudp {

class engine;

// From open to close of an engine.
status survive_forks(engine& e);
void forget(engine& e);

}  // namespace fastudp
