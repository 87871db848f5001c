#pragma once
// The file in which all processes of a run count, and what it adds up to.

#include <string>

namespace cli {

// Exists from construction to destruction; every process may write to it.
class counters_file {
 public:
  counters_file();
  ~counters_file();
  counters_file(const counters_file&) = delete;
  counters_file& operator=(const counters_file&) = delete;

  const std::string& path() const { return path_; }
  // What was counted, as JSON text. `link` and `reason` are told when no process has opened a stack.
  std::string sum() const;

 private:
  std::string path_;
};

// Writes a whole file or leaves what was there. Returns an errno.
int replace_file(const std::string& path, const std::string& text);

}  // namespace cli
