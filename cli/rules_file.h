#pragma once
// A file of rules, checked before a program starts under it.

#include <string>

namespace cli {

// Empty when nothing is; otherwise with the line that is.
std::string what_is_wrong_with_rules(const std::string& path);

}  // namespace cli
