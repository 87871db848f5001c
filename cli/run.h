#pragma once
// fastudp run: stays as the parent of a program whose UDP sockets the interposer takes over.

#include <string>
#include <vector>

namespace cli {

struct run_request {
  std::string link = "auto:", address, gateway, rules, stats;
  bool strict = false, bypass_firewall = false, extend_sandbox = false;
  std::vector<std::string> command;
};

// Returns what run_and_wait does, or, when the program isn't started: 2 for a mistake of the caller's, 1 for a link
// that can't be had here, when it must be.
int run(const run_request& request);

}  // namespace cli
