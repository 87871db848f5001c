#include "other_end.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>

#include "reflection.h"

namespace differential {
namespace {

template <typename Call>
Call loaded(const char* name) {
  return reinterpret_cast<Call>(::dlsym(RTLD_DEFAULT, name));
}

}  // namespace

bool other_end::open(const char* uri) {
  const auto open_link = loaded<decltype(&fastudp_link_open)>("fastudp_link_open");
  if (open_link == nullptr) return true;
  calls_ = {loaded<decltype(&fastudp_link_send)>("fastudp_link_send"),
            loaded<decltype(&fastudp_link_recv)>("fastudp_link_recv")};
  char why[256] = "";
  if (open_link(&link_, uri, why, sizeof why) == 0) return true;
  std::fprintf(stderr, "%s: %s\n", uri, why);
  return false;
}

void other_end::reflect() {
  octet frame[ETHERNET_HEADER + 1500];
  if (link_ == nullptr) return;
  for (std::int64_t size; (size = calls_.receive(link_, frame, sizeof frame)) > 0;) {
    if (!reflect_frame(frame, frame + size)) continue;
    if (calls_.send(link_, frame, static_cast<std::size_t>(size)) != size) std::fprintf(stderr, "a frame isn't back\n");
  }
}

}  // namespace differential
