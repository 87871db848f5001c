#pragma once
// The program that is run: starting it, passing signals on to it, and waiting for all that it leaves behind.

#include <string>
#include <vector>

namespace cli {

// Returns when the program and every process that came from it have ended (daemons too), with what a shell would return
// for the program: its status, 128 and a signal's number, 127 when there is none, 126 when it can't be executed.
int run_and_wait(const std::vector<std::string>& command);

}  // namespace cli
