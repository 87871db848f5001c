#include "address.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace fastudp::python {
namespace {

[[noreturn]] void refuse(const std::string& text, const char* wanted) {
  throw py::value_error("'" + text + "' is not " + wanted);
}

template <class Number>
bool read_number(const char*& at, const char* end, Number& out, int base) {
  const auto [next, error] = std::from_chars(at, end, out, base);
  at = next;
  return error == std::errc{};
}

std::uint16_t port_from(py::handle object) {
  const auto port = object.cast<long long>();
  if (port < 0 || port > 65535) {
    PyErr_SetString(PyExc_OverflowError, "port must be 0-65535");
    throw py::error_already_set();
  }
  return static_cast<std::uint16_t>(port);
}

}  // namespace

fastudp_addr host_from(const std::string& text) {
  fastudp_addr address{};
  const auto colon = text.find(':');
  const bool with_port = text.find('[') != text.npos || (colon != text.npos && text.find(':', colon + 1) == text.npos);
  if (with_port || fastudp_addr_parse(text.empty() ? ":0" : text.c_str(), &address) < 0) {
    refuse(text, "an address such as 10.0.0.1 or 2001:db8::1");
  }
  return address;
}

prefix prefix_from(const std::string& text) {
  const auto slash = text.find('/');
  unsigned length = 0;
  if (slash == text.npos || slash == 0) refuse(text, "a prefix such as 10.0.0.0/24");
  const char* at = text.data() + slash + 1;
  const char* const end = text.data() + text.size();
  const bool is_number = read_number(at, end, length, 10) && at == end;
  const fastudp_addr address = host_from(text.substr(0, slash));
  if (!is_number || length > (address.family == FASTUDP_IPV4 ? 32u : 128u))
    refuse(text, "a prefix such as 10.0.0.0/24");
  return {address, length};
}

mac_bytes mac_from(const std::string& text) {
  mac_bytes mac{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < mac.size(); ++i) {
    if (i > 0 && (at == end || *at++ != ':')) refuse(text, "a MAC address such as 02:00:00:00:00:01");
    if (!read_number(at, end, mac[i], 16)) refuse(text, "a MAC address such as 02:00:00:00:00:01");
  }
  if (at != end) refuse(text, "a MAC address such as 02:00:00:00:00:01");
  return mac;
}

std::string text_of(const mac_bytes& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text;
}

fastudp_addr address_from(const py::tuple& pair) {
  if (pair.size() < 2 || pair.size() > 4) throw py::type_error("an address is a tuple of host and port");
  auto address = host_from(pair[0].cast<std::string>());
  address.port = port_from(pair[1]);
  if (pair.size() == 4) address.scope_id = pair[3].cast<std::uint32_t>();
  return address;
}

py::object object_of(const fastudp_addr& address) {
  char text[80];
  if (fastudp_addr_format(&address, text, sizeof text) < 0) return py::none();
  const std::string whole = text;
  const std::string host = whole.substr(0, whole.rfind(':'));
  if (address.family != FASTUDP_IPV6) return py::make_tuple(host, address.port);
  return py::make_tuple(host.substr(1, std::min(host.find('%'), host.size() - 1) - 1), address.port, 0,
                        address.scope_id);
}

}  // namespace fastudp::python
