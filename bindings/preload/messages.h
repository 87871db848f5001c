#pragma once
// Flags of the calls that receive, by their fates. The list is messages.def; what is sent fastudp itself judges.

#include <sys/socket.h>

#include <cstddef>

namespace preload {

enum class fate { fast, here, nothing, kernel };

struct flag_row {
  int flag;
  preload::fate fate;
};

#define SEND_CONTROL(...)
#define RECEIVE_CONTROL(...)
#define SEND_FLAG(...)
#define RECEIVE_FLAG(name, kind, words) {name, fate::kind},
inline constexpr flag_row receive_flags[] = {
#include "messages.def"
};
#undef SEND_FLAG
#undef RECEIVE_FLAG
#undef SEND_CONTROL
#undef RECEIVE_CONTROL

template <std::size_t Count>
constexpr int flags_with(const flag_row (&rows)[Count], fate wanted) {
  int out = 0;
  for (const flag_row& row : rows) out |= row.fate == wanted ? row.flag : 0;
  return out;
}

}  // namespace preload
