#pragma once
// Addresses as Python programs write them: ("10.0.0.1", 53), "10.0.0.1/24", "02:00:00:00:00:01".

#include <fastudp.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <string>

namespace fastudp::python {

namespace py = pybind11;

using mac_bytes = std::array<std::uint8_t, 6>;

struct prefix {
  fastudp_addr address;
  unsigned length;
};

// Each raises ValueError for text that isn't one.
fastudp_addr host_from(const std::string& text);
prefix prefix_from(const std::string& text);
mac_bytes mac_from(const std::string& text);
std::string text_of(const mac_bytes& mac);

// ("10.0.0.1", 53), where "" means IPv4's any address, or, as Python's own sockets have it, ("fe80::1", 53, 0, scope).
// OverflowError for a port beyond 16 bits.
fastudp_addr address_from(const py::tuple& pair);
// None for an address without a family.
py::object object_of(const fastudp_addr& address);

}  // namespace fastudp::python

namespace pybind11::detail {

template <>
struct type_caster<fastudp_addr> {
  PYBIND11_TYPE_CASTER(fastudp_addr, const_name("tuple[str, int]"));

  bool load(handle source, bool) {
    if (!isinstance<tuple>(source)) return false;
    value = fastudp::python::address_from(reinterpret_borrow<tuple>(source));
    return true;
  }

  static handle cast(const fastudp_addr& address, return_value_policy, handle) {
    return fastudp::python::object_of(address).release();
  }
};

}  // namespace pybind11::detail
