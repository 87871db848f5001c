#include "rules.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace rules {
namespace {

constexpr std::uint8_t both_ways = 3;
constexpr std::string_view spaces = " \t\r";

// Not substr and remove_prefix, which need libstdc++ to complain.
constexpr std::string_view first_of(std::string_view text, std::size_t size) {
  return {text.data(), std::min(size, text.size())};
}
constexpr std::string_view behind(std::string_view text, std::size_t size) {
  const std::size_t cut = std::min(size, text.size());
  return {text.data() + cut, text.size() - cut};
}

// The next word of a line, cut off; empty at its end.
std::string_view take_word(std::string_view& line) {
  line = behind(line, line.find_first_not_of(spaces));
  const std::size_t end = std::min(line.find_first_of(spaces), line.size());
  const std::string_view word = first_of(line, end);
  line = behind(line, end);
  return word;
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = first_of(text, end);
  text = behind(text, end + 1);
  return first_of(line, line.find('#'));
}

template <std::size_t Size>
bool copy(std::string_view word, char (&to)[Size]) {
  if (word.empty() || word.size() >= Size) return false;
  std::memcpy(to, word.data(), word.size());
  to[word.size()] = '\0';
  return true;
}

bool read_number(std::string_view word, unsigned long most, unsigned long& out) {
  char text[16];
  if (!copy(word, text) || word.find_first_not_of("0123456789") != word.npos) return false;
  out = std::strtoul(text, nullptr, 10);
  return out <= most;
}

bool read_ports(std::string_view word, rule& to) {
  const std::size_t dash = word.find('-');
  unsigned long first = 0, last = 0;
  if (!read_number(first_of(word, dash), 65'535, first)) return false;
  if (!read_number(dash == word.npos ? word : behind(word, dash + 1), 65'535, last) || first > last) return false;
  to.first_port = static_cast<std::uint16_t>(first);
  to.last_port = static_cast<std::uint16_t>(last);
  return first != 0;
}

bool read_address(std::string_view word, rule& to) {
  char text[48];
  const std::size_t slash = word.find('/');
  if (!copy(first_of(word, slash), text)) return false;
  const bool is_v4 = ::inet_pton(AF_INET, text, to.address + 12) == 1;
  if (is_v4) to.address[10] = to.address[11] = 0xff;
  if (!is_v4 && ::inet_pton(AF_INET6, text, to.address) != 1) return false;
  unsigned long bits = is_v4 ? 32 : 128;
  if (slash != word.npos && !read_number(behind(word, slash + 1), bits, bits)) return false;
  to.bits = static_cast<std::uint8_t>(bits + (is_v4 ? 96 : 0));
  return true;
}

// What follows a name; null when all is well.
const char* read_value(std::string_view name, std::string_view value, rule& to) {
  if (name == "program")
    return copy(value, to.program) ? nullptr : "needs the name of a program, shorter than 64 characters";
  if (name == "port") return read_ports(value, to) ? nullptr : "needs a port, or two with a dash, of 1 to 65535";
  return read_address(value, to) ? nullptr : "needs an IPv4 or IPv6 address, which may have a prefix length";
}

bool is_way(std::string_view word, rule& to) {
  if (word != "in" && word != "out") return false;
  to.ways = static_cast<std::uint8_t>(word == "in" ? way::in : way::out);
  return true;
}

bool say(mistake& why, std::string_view word, const char* what) {
  std::snprintf(why.text, sizeof why.text, "'%.*s' %s", static_cast<int>(std::min<std::size_t>(word.size(), 60)),
                word.data(), what);
  return false;
}

bool read_rule(std::string_view first, std::string_view line, rule& to, mistake& why) {
  to = {};
  to.ways = both_ways;
  to.last_port = 65'535;
  to.fast = first == "fast";
  if (!to.fast && first != "kernel") return say(why, first, "is not how a rule begins: fast or kernel");
  for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
    if (is_way(word, to)) continue;
    if (word != "program" && word != "port" && word != "address") {
      return say(why, word, "is unknown: in, out, program, address or port may follow");
    }
    if (const char* wrong = read_value(word, take_word(line), to)) return say(why, word, wrong);
  }
  return true;
}

bool begins_alike(const std::uint8_t* a, const std::uint8_t* b, unsigned bits) {
  const unsigned whole = bits / 8, rest = bits % 8;
  if (std::memcmp(a, b, whole) != 0) return false;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool fits(const rule& r, way of, const place& where) {
  return (r.ways & static_cast<std::uint8_t>(of)) && where.port >= r.first_port && where.port <= r.last_port &&
         begins_alike(r.address, where.address, r.bits);
}

}  // namespace

bool list::parse(const char* data, std::size_t size, mistake& why) {
  count_ = 0;
  std::string_view text(data, size);
  for (why.line = 1; !text.empty(); ++why.line) {
    std::string_view line = take_line(text);
    const std::string_view first = take_word(line);
    if (first.empty()) continue;
    const bool is_good = count_ < most ? read_rule(first, line, rules_[count_], why)
                                       : say(why, first, "is the 257th rule: 256 are the most");
    if (!is_good) {
      count_ = 0;
      return false;
    }
    ++count_;
  }
  return true;
}

void list::keep_those_of(const char* name, const char* alias) {
  const auto is_anothers = [&](const rule& r) {
    return r.program[0] != '\0' && std::strcmp(r.program, name) != 0 && std::strcmp(r.program, alias) != 0;
  };
  count_ = static_cast<std::size_t>(std::remove_if(rules_, rules_ + count_, is_anothers) - rules_);
}

bool list::says_kernel(way of, const place& where) const {
  const rule* decides = std::find_if(rules_, rules_ + count_, [&](const rule& r) { return fits(r, of, where); });
  return decides != rules_ + count_ && !decides->fast;
}

}  // namespace rules
