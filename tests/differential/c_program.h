#pragma once
// A sequence as C.

#include <string>
#include <vector>

#include "step.h"

namespace differential {

// One call, as a statement with the macros and functions of shown.h.
std::string as_c(const step& s);
std::string c_program(const std::vector<step>& sequence);

}  // namespace differential
