// The module itself: constants, functions without an object, and the parts that the other files add.

#include "module.h"

#include <fastudp.h>

namespace fastudp::python {
namespace {

py::dict drop_reasons() {
  py::dict reasons;
  for (std::size_t i = 0; fastudp_drop_name(i) != nullptr; ++i) reasons[fastudp_drop_name(i)] = fastudp_drop_text(i);
  return reasons;
}

py::dict drop_layers() {
  py::dict layers;
  for (std::size_t i = 0; fastudp_drop_name(i) != nullptr; ++i) layers[fastudp_drop_name(i)] = fastudp_drop_layer(i);
  return layers;
}

struct constant {
  const char* name;
  int value;
};

constexpr constant constants[] = {
    {"PEEK", FASTUDP_PEEK},
    {"CTRUNC", FASTUDP_CTRUNC},
    {"TRUNC", FASTUDP_TRUNC},
    {"DONTWAIT", FASTUDP_DONTWAIT},
    {"CONFIRM", FASTUDP_CONFIRM},
    {"ERRQUEUE", FASTUDP_ERRQUEUE},
    {"NOSIGNAL", FASTUDP_NOSIGNAL},
    {"MORE", FASTUDP_MORE},
    {"WAITFORONE", FASTUDP_WAITFORONE},
    {"ZEROCOPY", FASTUDP_ZEROCOPY},
    {"READABLE", FASTUDP_READABLE},
    {"WRITABLE", FASTUDP_WRITABLE},
    {"ERROR", FASTUDP_ERROR},
    {"HANGUP", FASTUDP_HANGUP},
    {"SHUT_RD", FASTUDP_SHUT_RD},
    {"SHUT_WR", FASTUDP_SHUT_WR},
    {"SHUT_RDWR", FASTUDP_SHUT_RDWR},
    {"INCOMPLETE", FASTUDP_NEIGHBOUR_INCOMPLETE},
    {"REACHABLE", FASTUDP_NEIGHBOUR_REACHABLE},
    {"STALE", FASTUDP_NEIGHBOUR_STALE},
    {"DELAY", FASTUDP_NEIGHBOUR_DELAY},
    {"PROBE", FASTUDP_NEIGHBOUR_PROBE},
    {"FAILED", FASTUDP_NEIGHBOUR_FAILED},
    {"PERMANENT", FASTUDP_NEIGHBOUR_PERMANENT},
};

}  // namespace

void add_constants(py::module_& module) {
  for (const auto& [name, value] : constants) module.attr(name) = value;
  module.def("version", &fastudp_version, "The library's version.");
  module.def("drop_reasons", &drop_reasons, "What each drop reason means and what to do about it, by name.");
  module.def("drop_layers", &drop_layers,
             "Where each drop reason loses packets (link, memory, stack, socket), by name.");
}

}  // namespace fastudp::python

PYBIND11_MODULE(_fastudp, module) {
  module.doc() = "fastudp's C API; import fastudp instead.";
  fastudp::python::add_constants(module);
  fastudp::python::add_link(module);
  fastudp::python::add_stack(module);
  fastudp::python::add_messages(module);
  fastudp::python::add_socket(module);
}
