#include "message.h"

#include <pybind11/stl.h>
#include <sys/socket.h>

#include <cstring>
#include <string_view>

#include "module.h"

namespace fastudp::python {
namespace {

void append_control(std::string& out, int level, int type, std::string_view data) {
  const auto at = out.size();
  out.resize(at + CMSG_SPACE(data.size()));
  cmsghdr header{};
  header.cmsg_len = CMSG_LEN(data.size());
  header.cmsg_level = level;
  header.cmsg_type = type;
  std::memcpy(out.data() + at, &header, sizeof header);
  std::memcpy(out.data() + at + CMSG_LEN(0), data.data(), data.size());
}

}  // namespace

std::string encode_control(const control_list& list) {
  std::string out;
  for (const auto& [level, type, data] : list) append_control(out, level, type, std::string_view(data));
  return out;
}

control_list decode_control(const void* data, std::size_t size) {
  control_list list;
  msghdr message{};
  message.msg_control = const_cast<void*>(data);
  message.msg_controllen = size;
  for (auto* each = CMSG_FIRSTHDR(&message); each != nullptr; each = CMSG_NXTHDR(&message, each)) {
    const auto* bytes = reinterpret_cast<const char*>(CMSG_DATA(each));
    list.emplace_back(each->cmsg_level, each->cmsg_type, py::bytes(bytes, each->cmsg_len - CMSG_LEN(0)));
  }
  return list;
}

void add_messages(py::module_& module) {
  py::class_<message>(module, "Message", "One received datagram.")
      .def_readonly("data", &message::data, "The payload, as much as there was room for.")
      .def_readonly("peer", &message::peer, "The sender.")
      .def_readonly("length", &message::length, "The datagram's full length.")
      .def_readonly("flags", &message::flags, "TRUNC and CTRUNC.")
      .def_readonly("control", &message::control, "Control messages: a list of (level, type, bytes).");
}

}  // namespace fastudp::python
