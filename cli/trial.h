#pragma once
// Opens a link and closes it again, to learn whether it can be had here, and what speaks against it, before anybody
// depends on it.

#include <string>

namespace cli {

struct trial_request {
  std::string uri;
  bool strict = false, bypass_firewall = false;
};

struct trial {
  int code = 0;              // 0, or an errno
  std::string link, reason;  // what was opened, and what is to be said of it, or why it wasn't
};

// In a process of its own, so that nothing stays in this one. An interface that isn't there is made elsewhere: others
// may wait for it to appear.
trial try_link(const trial_request& request);

// Lines joined to one.
std::string in_one_line(std::string text);

}  // namespace cli
