#pragma once
// Python's bytes at the border: any contiguous buffer in, one exactly sized bytes object out.

#include <pybind11/pybind11.h>

#include <cstddef>
#include <utility>

namespace fastudp::python {

namespace py = pybind11;

// The bytes of any object with a contiguous buffer, for as long as the view lives.
class bytes_view {
 public:
  bytes_view() = default;
  explicit bytes_view(py::handle object, int kind = PyBUF_SIMPLE) {
    if (PyObject_GetBuffer(object.ptr(), &buffer_, kind) != 0) throw py::error_already_set();
  }
  bytes_view(bytes_view&& other) noexcept : buffer_(std::exchange(other.buffer_, {})) {}
  bytes_view& operator=(bytes_view&& other) noexcept {
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~bytes_view() { PyBuffer_Release(&buffer_); }

  const void* data() const { return buffer_.buf; }
  std::size_t size() const { return static_cast<std::size_t>(buffer_.len); }

 protected:
  Py_buffer buffer_{};
};

// The same for writing.
class writable_view : public bytes_view {
 public:
  explicit writable_view(py::handle object) : bytes_view(object, PyBUF_WRITABLE) {}

  void* data() const { return buffer_.buf; }
};

// A bytes object that is written before anybody has seen it, then cut to what was stored.
class new_bytes {
 public:
  explicit new_bytes(std::size_t size)
      : object_(py::reinterpret_steal<py::object>(PyBytes_FromStringAndSize(nullptr, static_cast<py::ssize_t>(size)))) {
    if (!object_) throw py::error_already_set();
  }

  char* data() { return PyBytes_AS_STRING(object_.ptr()); }
  std::size_t size() const { return static_cast<std::size_t>(PyBytes_GET_SIZE(object_.ptr())); }

  py::bytes cut(std::size_t size) {
    PyObject* raw = object_.release().ptr();
    const auto wanted = static_cast<py::ssize_t>(size);
    if (wanted < PyBytes_GET_SIZE(raw) && _PyBytes_Resize(&raw, wanted) != 0) throw py::error_already_set();
    return py::reinterpret_steal<py::bytes>(raw);
  }

 private:
  py::object object_;
};

}  // namespace fastudp::python

namespace pybind11::detail {

template <>
struct type_caster<fastudp::python::bytes_view> {
  PYBIND11_TYPE_CASTER(fastudp::python::bytes_view, const_name("Buffer"));

  bool load(handle source, bool) {
    if (!PyObject_CheckBuffer(source.ptr())) return false;
    value = fastudp::python::bytes_view(source);
    return true;
  }
};

}  // namespace pybind11::detail
