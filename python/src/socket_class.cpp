// How Socket looks from Python.

#include "module.h"
#include "socket.h"

namespace fastudp::python {
namespace {

using class_of_sockets = py::class_<socket>;

void add_addresses(class_of_sockets& type) {
  type.def("bind", &socket::bind, py::arg("address"))
      .def("connect", &socket::connect, py::arg("address"))
      .def("disconnect", &socket::disconnect)
      .def("getsockname", &socket::local)
      .def("getpeername", &socket::peer)
      .def("shutdown", &socket::shutdown, py::arg("how"));
}

void add_input_and_output(class_of_sockets& type) {
  type.def("send", &socket::send, py::arg("data"), py::arg("flags") = 0, "Sends to the connected peer.")
      .def("sendto", &socket::sendto, py::arg("data"), py::arg("address"), py::arg("flags") = 0)
      .def("sendmsg", &socket::sendmsg, py::arg("data"), py::arg("control") = control_list{},
           py::arg("address") = py::none(), py::arg("flags") = 0, "Sends with control messages.")
      .def("send_burst", &socket::send_burst, py::arg("messages"), py::arg("flags") = 0,
           "Sends a list of data or (data, address); how many were sent.")
      .def("recv", &socket::recv, py::arg("size") = 65535, py::arg("flags") = 0)
      .def("recvfrom", &socket::recvfrom, py::arg("size") = 65535, py::arg("flags") = 0)
      .def("recv_into", &socket::recv_into, py::arg("buffer"), py::arg("flags") = 0,
           "Receives into a writable buffer; with TRUNC the datagram's full length.")
      .def("recvmsg", &socket::recvmsg, py::arg("size") = 65535, py::arg("control_size") = 0, py::arg("flags") = 0)
      .def("recv_burst", &socket::recv_burst, py::arg("count"), py::arg("size") = 2048, py::arg("control_size") = 0,
           py::arg("flags") = 0, "Up to `count` datagrams, without waiting for a second.");
}

void add_zero_copy(class_of_sockets& type) {
  type.def("borrow", &socket::borrow, py::arg("count"), py::arg("flags") = 0,
           "Receives up to `count` datagrams in the frames they came in.")
      .def("alloc", &socket::alloc, py::arg("count"), py::arg("size"), "Up to `count` empty frames of `size` bytes.")
      .def("submit", &socket::submit, py::arg("frames"), py::arg("flags") = 0,
           "Sends frames from borrow or alloc; how many were sent, which are gone then.");
}

void add_options(class_of_sockets& type) {
  type.def("set_option", &socket::set_option, py::arg("level"), py::arg("name"), py::arg("value"),
           "Sets an option to an int or to bytes.")
      .def("get_option", &socket::get_option, py::arg("level"), py::arg("name"), py::arg("size") = py::none(),
           "An option as int, or as up to `size` bytes.")
      .def("settimeout", &socket::set_timeout, py::arg("seconds"), "None: blocks; 0: never blocks; else TimeoutError.")
      .def("gettimeout", &socket::get_timeout);
}

void add_waiting(class_of_sockets& type) {
  type.def("poll", &socket::poll, "What is ready now: a sum of READABLE, WRITABLE, ERROR, HANGUP.")
      .def("wait", &socket::wait, py::arg("events") = FASTUDP_READABLE, py::arg("timeout") = py::none(),
           "Waits for one of `events`; what is ready, 0 at the deadline.")
      .def("fileno", &socket::fileno, "A descriptor that is readable while the socket has something to receive.");
}

}  // namespace

void add_socket(py::module_& module) {
  add_frame(module);
  class_of_sockets type(module, "Socket", "One UDP socket on a stack; Stack.socket() opens it.");
  add_addresses(type);
  add_input_and_output(type);
  add_zero_copy(type);
  add_options(type);
  add_waiting(type);
  type.def("close", &socket::close, "OSError(EBUSY) while frames borrowed through it are not released.")
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](socket& self, const py::args&) { self.close(); });
}

}  // namespace fastudp::python
