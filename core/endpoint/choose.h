#pragma once
// auto: the fastest link that works here and that the user would want, and what spoke against the faster ones.

#include <memory>
#include <string_view>

#include "base/reason.h"
#include "base/result.h"
#include "endpoint/engine.h"
#include "link/uri.h"

namespace fastudp {

// `where` is auto:[INTERFACE][?keys for the link]; the interface is by default that of the default route. Falls back to
// the kernel's own sockets; settings.strict makes that EOPNOTSUPP.
result<std::unique_ptr<engine>> open_best(std::string_view text, const uri& where, engine_settings settings,
                                          reason& why);

}  // namespace fastudp
