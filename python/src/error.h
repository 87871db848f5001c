#pragma once
// From -errno to Python's exceptions.

#include <pybind11/pybind11.h>

#include <cerrno>
#include <string>

namespace fastudp::python {

namespace py = pybind11;

// Raises the OSError of this errno (its subclass, where Python has one) with `why`, or the system's words without one.
[[noreturn]] void raise(int code, const std::string& why = {});

// Raises TimeoutError, with EAGAIN as errno: what Python's own sockets raise, with Linux's number.
[[noreturn]] void raise_timeout();

// Repeats a call that a signal interrupted, once Python's handlers have run without raising.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result == -EINTR) {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    result = call();
  }
  return result;
}

// The result of a library call that has nothing to add to its errno.
template <class Result>
Result checked(Result result) {
  if (result < 0) raise(static_cast<int>(-result));
  return result;
}

}  // namespace fastudp::python
