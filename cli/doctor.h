#pragma once
// fastudp doctor: what this machine offers, which link would be chosen, and what would make it faster.

#include <string>

namespace cli {

struct doctor_request {
  std::string interface, stats;
};

// 0, or 2 when the stats file can't be read.
int doctor(const doctor_request& request);

}  // namespace cli
