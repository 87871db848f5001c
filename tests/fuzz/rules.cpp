// Any bytes as a file of rules: they are taken, or a mistake is named by its line; a comment behind them changes
// nothing.

#include "rules/rules.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

namespace rules {
namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// In memory of exactly its size, so that the address sanitizer sees the first byte too many.
bool parse(list& into, const std::string& text, mistake& why) {
  const std::unique_ptr<char[]> exact(new char[text.size()]);
  std::ranges::copy(text, exact.get());
  return into.parse(exact.get(), text.size(), why);
}

void check_mistake(const std::string& text, const mistake& why) {
  require(why.line >= 1 && why.line <= 1 + std::ranges::count(text, '\n'));
  require(why.text[0] != '\0' && std::memchr(why.text, '\0', sizeof why.text) != nullptr);
}

void check_answers(const list& one, const list& other) {
  for (const std::uint16_t port : {0, 1, 53, 5000, 65'535}) {
    place where{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1}, port};
    for (const way of : {way::in, way::out}) require(one.says_kernel(of, where) == other.says_kernel(of, where));
  }
  require(one.says_kernel_for_all() == other.says_kernel_for_all() && one.is_empty() == other.is_empty());
}

void check(const std::string& text) {
  static list plain, with_comment;
  mistake why, why_with_comment;
  const bool is_good = parse(plain, text, why);
  if (!is_good) check_mistake(text, why);
  require(is_good || plain.is_empty());
  const std::string more = text + "\n# kernel\n";
  if (more.size() > longest_text) return;
  require(parse(with_comment, more, why_with_comment) == is_good);
  require(is_good || why.line == why_with_comment.line);
  check_answers(plain, with_comment);
  plain.keep_those_of("dnsmasq", "resolver");
  with_comment.keep_those_of("dnsmasq", "resolver");
  check_answers(plain, with_comment);
}

}  // namespace
}  // namespace rules

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size <= rules::longest_text) rules::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
