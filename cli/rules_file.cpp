#include "rules_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "../bindings/rules/rules.h"

namespace cli {

std::string what_is_wrong_with_rules(const std::string& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open()) return path + " can't be read: " + std::strerror(errno);
  if (text.size() >= rules::longest_text) return path + " is longer than 64 KiB, which rules may not be";
  rules::list list;
  rules::mistake why;
  if (list.parse(text.data(), text.size(), why)) return "";
  return path + ":" + std::to_string(why.line) + ": " + why.text;
}

}  // namespace cli
