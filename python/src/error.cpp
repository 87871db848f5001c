#include "error.h"

#include <cstring>

namespace fastudp::python {
namespace {

[[noreturn]] void raise_as(PyObject* type, int code, const std::string& text) {
  const auto made = py::reinterpret_borrow<py::object>(type)(code, text);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made.ptr())), made.ptr());
  throw py::error_already_set();
}

}  // namespace

void raise(int code, const std::string& why) { raise_as(PyExc_OSError, code, why.empty() ? std::strerror(code) : why); }

void raise_timeout() { raise_as(PyExc_TimeoutError, EAGAIN, "timed out"); }

}  // namespace fastudp::python
