#pragma once
// Message: one received datagram with all that came with it, and control messages in both directions.

#include <fastudp.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

namespace fastudp::python {

namespace py = pybind11;

using control_list = std::vector<std::tuple<int, int, py::bytes>>;

struct message {
  py::bytes data;
  fastudp_addr peer;
  std::uint32_t length;
  std::uint32_t flags;
  control_list control;
};

// Linux's cmsg layout from a list of (level, type, bytes), and back.
std::string encode_control(const control_list& list);
control_list decode_control(const void* data, std::size_t size);

}  // namespace fastudp::python
