#pragma once
// How often each call, option, flag and control message was used, so that what isn't tried shows.

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <utility>

#include "step.h"

namespace differential {

class census {
 public:
  void called(call what, bool succeeded) { ++calls_[static_cast<std::size_t>(what)][succeeded]; }
  void flags(bool sending, int flags) {
    for (unsigned bit = 0; bit < 32; ++bit) flags_[sending][bit] += static_cast<unsigned>(flags) >> bit & 1;
  }
  void option(bool setting, int level, int name, bool succeeded);
  void control(bool sending, int level, int type) { ++(sending ? sent_ : received_)[{level, type}]; }
  void sequences(std::uint64_t more) { sequences_ += more; }
  void write(std::FILE* to) const;

 private:
  using by_number = std::map<std::pair<int, int>, std::uint64_t>;

  std::uint64_t sequences_ = 0;
  std::uint64_t calls_[call_count][2]{};
  std::uint64_t flags_[2][32]{};
  std::map<std::pair<int, int>, std::uint64_t[2]> options_[2];
  by_number sent_, received_;
};

}  // namespace differential
