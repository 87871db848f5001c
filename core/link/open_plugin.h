#pragma once
// Shared objects of ours that have needs of their own, and are loaded when they are asked for. Each serves the library
// by a table that begins with its size and its build's id.

#include <cerrno>
#include <cstddef>

#include "base/reason.h"
#include "base/result.h"

namespace fastudp {

// Beside the library that this code is in, or in the folder of its plugins; a handle of dlopen, or null.
void* open_plugin(const char* file);

void* plugin_symbol(void* plugin, const char* name);
bool is_of_this_build(const char* id);

// EINVAL: the plugin comes of another build.
template <typename Table>
result<const Table*> plugin_table(void* plugin, const char* file, const char* name, reason& why) {
  const auto* table = static_cast<const Table*>(plugin_symbol(plugin, name));
  if (table != nullptr && table->size == sizeof *table && is_of_this_build(table->build_id)) return table;
  return why.fail(EINVAL, "%s is of another version than the library: install both from one", file);
}

}  // namespace fastudp
