#pragma once
// The program that is run: whether it can be preloaded, starting it, and waiting for all that it leaves behind.

#include <string>
#include <vector>

namespace cli {

// Why the interposer can't work in it, empty when it can.
std::string why_not_preloadable(const std::string& program);

// Starts it, forwards signals to it, and waits for it and for every process that it has left behind (daemons). Returns what a
// shell would: its status, 128 and a signal's number, 126 or 127.
int run_and_wait(const std::vector<std::string>& command);

}  // namespace cli
