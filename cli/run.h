#pragma once
// fastudp run: stays as the parent of a program whose UDP sockets the interposer takes over.

#include <string>
#include <vector>

namespace cli {

struct run_request {
  std::string link = "auto:", address, gateway, stats;
  bool strict = false, bypass_firewall = false;
  std::vector<std::string> command;
};

// Returns the program's exit status, 128 and the number of the signal that ended it, or 1, 2, 126, 127 as env does.
int run(const run_request& request);

}  // namespace cli
