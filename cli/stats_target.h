#pragma once
// Where statistics go: a file that readers see whole or not at all.

#include <string>

namespace cli {

// What would keep replace_file from working, in words; empty when nothing is known to.
std::string why_not_writable(const std::string& path);

// Writes all of it or leaves what was there. What isn't a regular file (/dev/stdout) is written to. Returns an errno.
int replace_file(const std::string& path, const std::string& text);

}  // namespace cli
