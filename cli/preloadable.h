#pragma once
// Whether the interposer can work in a program.

#include <string>

namespace cli {

// Why it can't; empty when it can, or when there is no such program.
std::string why_not_preloadable(const std::string& program);

}  // namespace cli
