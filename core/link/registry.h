#pragma once
// From a URI to an open link: finds the backend by its scheme and puts the wrappers that the URI asks for around it.

#include "base/reason.h"
#include "base/result.h"
#include "link/link.h"
#include "link/uri.h"

namespace fastudp {

// Takes the backend's and the wrappers' keys from the URI; the caller takes its own and then checks that none is left.
// Fails with the errno of the first thing that failed and a sentence that says what to
// do.
result<link_ptr> open_link(uri& where, const link_services& with, reason& why);

}  // namespace fastudp
