#pragma once
// fastudp doctor: what this machine offers, which link would be chosen, and what would make it faster.

#include <string>

namespace cli {

struct doctor_request {
  std::string interface, stats;
};

// 0, or 2 when there is no such interface or file of statistics.
int doctor(const doctor_request& request);

// Explains a file that run has written.
int explain_stats(const std::string& path);

}  // namespace cli
