#pragma once
// How descriptors come and go.

namespace preload {

// A number that has just been given out means something new: what was known of it was closed in a way that can't be
// seen.
void forget(int fd);

// As forget, for the descriptor that a creating function returned; one that fastudp made for itself is moved away.
// Returns the number that it has then. `caller` is where the function returns to.
int created(int fd, const void* caller);

}  // namespace preload
