#pragma once
// The parts of the module; each adds its classes, in this order.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "address.h"

namespace fastudp::python {

void add_constants(py::module_& module);
void add_link(py::module_& module);
void add_stack(py::module_& module);
void add_messages(py::module_& module);
void add_socket(py::module_& module);

}  // namespace fastudp::python
