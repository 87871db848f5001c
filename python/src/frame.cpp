#include "frame.h"

#include "module.h"

namespace fastudp::python {
namespace {

void add_buffer_protocol(PyHeapTypeObject* type) {
  type->as_buffer.bf_getbuffer = &frame::get_buffer;
  type->as_buffer.bf_releasebuffer = &frame::release_buffer;
  type->ht_type.tp_as_buffer = &type->as_buffer;
}

}  // namespace

void frame::set_size(std::uint32_t size) {
  if (size > room_) throw py::value_error("a frame can't grow beyond the room that it was given");
  if (views_ > 0) throw py::buffer_error("a memoryview of this frame is still in use");
  msg_.size = size;
}

void frame::release() {
  if (is_released()) return;
  lend();
  fastudp_release(&msg_, 1);
}

const fastudp_msg& frame::lend() const {
  if (is_released()) throw py::value_error("the frame has been released");
  if (views_ > 0) throw py::buffer_error("a memoryview of this frame is still in use");
  return msg_;
}

int frame::get_buffer(PyObject* self, Py_buffer* view, int flags) {
  auto& lent = py::handle(self).cast<frame&>();
  if (lent.is_released()) {
    PyErr_SetString(PyExc_ValueError, "the frame has been released");
    return -1;
  }
  const int result = PyBuffer_FillInfo(view, self, lent.msg_.data, lent.msg_.size, 0, flags);
  if (result == 0) ++lent.views_;
  return result;
}

void frame::release_buffer(PyObject* self, Py_buffer*) { --py::handle(self).cast<frame&>().views_; }

void add_frame(py::module_& module) {
  py::class_<frame>(module, "Frame", py::custom_type_setup(&add_buffer_protocol),
                    "A payload in the link's own memory; memoryview(frame) reads and writes it in place.")
      .def_property("size", &frame::size, &frame::set_size, "Bytes of payload; may be made smaller.")
      .def_property("peer", &frame::peer, &frame::set_peer, "The sender; to submit: the destination, or None.")
      .def_property_readonly("released", &frame::is_released)
      .def("release", &frame::release, "Gives the frame back; BufferError while a memoryview of it exists.")
      .def("__len__", &frame::size)
      .def("__bytes__",
           [](py::handle self) { return py::reinterpret_steal<py::bytes>(PyBytes_FromObject(self.ptr())); })
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](frame& self, const py::args&) { self.release(); });
}

}  // namespace fastudp::python
