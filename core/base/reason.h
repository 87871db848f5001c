#pragma once
// One line of text for a person: what went wrong and what to do about it. Fixed size, so that failing never allocates.

#include <cstdarg>
#include <cstdio>

#include "base/result.h"

namespace fastudp {

class reason {
 public:
  const char* c_str() const { return text_; }
  bool empty() const { return text_[0] == '\0'; }

  // Keeps the sentence and gives the error to return: `return why.fail(EINVAL, "…")`.
  [[gnu::format(printf, 3, 4)]] error fail(int code, const char* format, ...) {
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text_, sizeof text_, format, arguments);
    va_end(arguments);
    return error{code};
  }

 private:
  char text_[256] = {};
};

}  // namespace fastudp
