#include "link/open_plugin.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace fastudp {

void* open_plugin(const char* file) {
  Dl_info self;
  if (::dladdr(reinterpret_cast<const void*>(&open_plugin), &self) == 0 || self.dli_fname == nullptr) return nullptr;
  const char* slash = std::strrchr(self.dli_fname, '/');
  const int folder = slash != nullptr ? static_cast<int>(slash - self.dli_fname) + 1 : 0;
  for (const char* place : {"", "fastudp/"}) {
    char name[512];
    std::snprintf(name, sizeof name, "%.*s%s%s", folder, self.dli_fname, place, file);
    if (void* opened = ::dlopen(name, RTLD_NOW | RTLD_LOCAL)) return opened;
  }
  return nullptr;
}

void* plugin_symbol(void* plugin, const char* name) { return ::dlsym(plugin, name); }
bool is_of_this_build(const char* id) { return std::strcmp(id, FASTUDP_BUILD_ID) == 0; }

}  // namespace fastudp
