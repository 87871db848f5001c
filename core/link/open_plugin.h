#pragma once
// Shared objects of ours that have needs of their own, and are loaded when they are asked for.

namespace fastudp {

// Beside the library that this code is in, or in the folder of its plugins; a handle of dlopen, or null.
void* open_plugin(const char* file);

}  // namespace fastudp
