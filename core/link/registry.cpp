#include "link/registry.h"

#include <cerrno>

#include "link/wrap/wrap.h"

namespace fastudp {

#define FASTUDP_BACKEND(scheme, space, text)                                 \
  namespace space {                                                          \
  result<link_ptr> open(uri& where, const link_services& with, reason& why); \
  }
#include "link/backends.def"
#undef FASTUDP_BACKEND

namespace {

struct backend {
  std::string_view scheme;
  result<link_ptr> (*open)(uri&, const link_services&, reason&);
};

constexpr backend backends[] = {
#define FASTUDP_BACKEND(scheme, space, text) {#scheme, &space::open},
#include "link/backends.def"
#undef FASTUDP_BACKEND
};

constexpr char known_schemes[] =
#define FASTUDP_BACKEND(scheme, space, text) " " #scheme ":"
#include "link/backends.def"
#undef FASTUDP_BACKEND
    ;

}  // namespace

result<link_ptr> open_link(uri& where, const link_services& with, reason& why) {
  for (const auto& candidate : backends) {
    if (candidate.scheme != where.scheme()) continue;
    auto opened = candidate.open(where, with, why);
    if (!opened) return opened;
    return wrap::around(std::move(*opened), where, with.count, why);
  }
  return why.fail(EINVAL, "no link '%.*s:'; there are%s", static_cast<int>(where.scheme().size()),
                  where.scheme().data(), known_schemes);
}

}  // namespace fastudp
