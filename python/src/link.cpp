// Link: raw frames in and out of a link that has no stack.

#include "bytes.h"
#include "handle.h"
#include "module.h"

namespace fastudp::python {
namespace {

class bare_link {
 public:
  explicit bare_link(const std::string& uri) {
    char why[256] = {};
    if (const int result = fastudp_link_open(link_.out(), uri.c_str(), why, sizeof why); result < 0) {
      raise(-result, why);
    }
  }

  void close() { link_.close(); }

  std::int64_t send(const bytes_view& frame) {
    return checked(fastudp_link_send(link_.get(), frame.data(), frame.size()));
  }

  py::bytes recv(std::size_t size) {
    new_bytes room(size);
    const auto length = checked(fastudp_link_recv(link_.get(), room.data(), size));
    return room.cut(static_cast<std::size_t>(length));
  }

  bool wait(std::optional<double> seconds) {
    const timeout until(seconds);
    const auto call = [&](fastudp_link* raw) { return fastudp_link_wait(raw, until.left()); };
    return checked(uninterrupted([&] { return link_.unlocked(call); })) > 0;
  }

 private:
  link_handle link_;
};

}  // namespace

void add_link(py::module_& module) {
  py::class_<bare_link>(module, "Link", "A bare link: whole Ethernet frames in and out. On mem: it sees the whole hub.")
      .def(py::init<const std::string&>(), py::arg("uri"))
      .def("close", &bare_link::close)
      .def("send", &bare_link::send, py::arg("frame"), "Transmits one frame.")
      .def("recv", &bare_link::recv, py::arg("size") = 65536, "One received frame; BlockingIOError: none is there.")
      .def("wait", &bare_link::wait, py::arg("timeout") = py::none(), "Whether a frame came within `timeout` seconds.")
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](bare_link& self, const py::args&) { self.close(); });
}

}  // namespace fastudp::python
