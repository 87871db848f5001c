#pragma once
// The file in which all processes of a run count, and what it adds up to.

#include <string>

#include "trial.h"

namespace cli {

// Exists from construction to destruction; every process may write to it.
class counters_file {
 public:
  counters_file();
  ~counters_file();
  counters_file(const counters_file&) = delete;
  counters_file& operator=(const counters_file&) = delete;

  // Empty when it could be made nowhere.
  const std::string& path() const { return path_; }
  // What was counted, as JSON text. Of the link it says what the trial found, where no process says more.
  std::string sum(const trial& found) const;

 private:
  std::string path_;
  int lock_ = -1;  // the file itself
};

}  // namespace cli
