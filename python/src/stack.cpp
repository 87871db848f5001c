// Stack: one host on a link.

#include <sys/socket.h>

#include <cstdio>

#include "module.h"
#include "socket.h"

namespace fastudp::python {
namespace {

template <class Struct>
Struct sized() {
  Struct value{};
  value.size = sizeof value;
  return value;
}

class stack {
 public:
  stack(const std::string& uri, bool hand_clock, std::uint64_t seed, std::uint32_t neighbours, std::uint32_t spin_us) {
    auto config = sized<fastudp_stack_config>();
    config.hand_clock = hand_clock;
    config.seed = seed;
    config.neighbours = neighbours;
    config.spin_us = spin_us;
    char why[256] = {};
    const int result = fastudp_stack_open(state_->stack.out(), uri.c_str(), &config, why, sizeof why);
    if (result < 0) raise(-result, why);
    state_->hand_clock = hand_clock;
  }

  void close() {
    for (const auto& each : state_->sockets) {
      if (const auto open = each.lock()) open->socket.close();
    }
    state_->sockets.clear();
    state_->stack.close();
  }

  // The family by its number in Python's socket module.
  socket open_udp(int family) {
    const int ours = family == AF_INET ? FASTUDP_IPV4 : family == AF_INET6 ? FASTUDP_IPV6 : FASTUDP_UNSPEC;
    return socket(open_socket(state_, ours));
  }

  void add_address(const std::string& text) {
    const auto [address, length] = prefix_from(text);
    checked(fastudp_stack_add_address(raw(), &address, length));
  }

  void remove_address(const std::string& text) {
    const auto address = host_from(text);
    checked(fastudp_stack_remove_address(raw(), &address));
  }

  void add_route(const std::string& text, const std::optional<std::string>& gateway) {
    const auto [destination, length] = prefix_from(text);
    const auto hop = gateway ? host_from(*gateway) : fastudp_addr{};
    checked(fastudp_stack_add_route(raw(), &destination, length, gateway ? &hop : nullptr));
  }

  void remove_route(const std::string& text) {
    const auto [destination, length] = prefix_from(text);
    checked(fastudp_stack_remove_route(raw(), &destination, length));
  }

  void add_neighbour(const std::string& text, const std::string& mac) {
    const auto address = host_from(text);
    checked(fastudp_stack_add_neighbour(raw(), &address, mac_from(mac).data()));
  }

  void remove_neighbour(const std::string& text) {
    const auto address = host_from(text);
    checked(fastudp_stack_remove_neighbour(raw(), &address));
  }

  std::optional<std::pair<std::string, std::uint32_t>> get_neighbour(const std::string& text) {
    const auto address = host_from(text);
    mac_bytes mac{};
    std::uint32_t state = 0;
    const int result = fastudp_stack_get_neighbour(raw(), &address, mac.data(), &state);
    if (result == -ENOENT) return std::nullopt;
    checked(result);
    return std::pair{text_of(mac), state};
  }

  int poll(unsigned budget) {
    return checked(state_->stack.unlocked([&](fastudp_stack* at) { return fastudp_stack_poll(at, budget); }));
  }

  bool wait(std::optional<double> seconds) {
    const timeout until(seconds);
    const auto call = [&](fastudp_stack* at) { return fastudp_stack_wait(at, until.left()); };
    return checked(uninterrupted([&] { return state_->stack.unlocked(call); })) > 0;
  }

  int fileno() { return checked(fastudp_stack_fd(raw())); }

  std::optional<std::int64_t> deadline() {
    const auto left = checked(fastudp_stack_deadline(raw()));
    return left == INT64_MAX ? std::nullopt : std::optional(left);
  }

  void set_time(std::int64_t now) { checked(fastudp_stack_set_time(raw(), now)); }

  fastudp_stack_info info() {
    auto value = sized<fastudp_stack_info>();
    checked(fastudp_stack_get_info(raw(), &value));
    return value;
  }

  fastudp_stack_stats stats() {
    auto value = sized<fastudp_stack_stats>();
    checked(fastudp_stack_get_stats(raw(), &value));
    return value;
  }

  py::dict drops() {
    std::vector<std::uint64_t> counts(static_cast<std::size_t>(checked(fastudp_stack_get_drops(raw(), nullptr, 0))));
    checked(fastudp_stack_get_drops(raw(), counts.data(), counts.size()));
    py::dict by_name;
    for (std::size_t i = 0; i < counts.size(); ++i) by_name[fastudp_drop_name(i)] = counts[i];
    return by_name;
  }

 private:
  fastudp_stack* raw() const { return state_->stack.get(); }

  std::shared_ptr<stack_state> state_ = std::make_shared<stack_state>();
};

mac_bytes mac_of(const fastudp_stack_info& info) {
  mac_bytes mac;
  for (std::size_t i = 0; i < mac.size(); ++i) mac[i] = info.mac[i];
  return mac;
}

void add_info(py::module_& module) {
  py::class_<fastudp_stack_info>(module, "Info", "What a stack is attached to.")
      .def_property_readonly("link", [](const fastudp_stack_info& self) { return std::string(self.link); })
      .def_property_readonly("mac", [](const fastudp_stack_info& self) { return text_of(mac_of(self)); })
      .def_readonly("mtu", &fastudp_stack_info::mtu)
      .def_readonly("frames", &fastudp_stack_info::frames)
      .def_readonly("frames_free", &fastudp_stack_info::frames_free);
}

void add_stats(py::module_& module) {
  using stats = fastudp_stack_stats;
  py::class_<stats>(module, "Stats", "Counts since a stack was opened.")
      .def_readonly("rx_datagrams", &stats::rx_datagrams)
      .def_readonly("tx_datagrams", &stats::tx_datagrams)
      .def_readonly("rx_frames", &stats::rx_frames)
      .def_readonly("rx_bytes", &stats::rx_bytes)
      .def_readonly("tx_frames", &stats::tx_frames)
      .def_readonly("tx_bytes", &stats::tx_bytes)
      .def_readonly("dropped", &stats::dropped)
      .def_readonly("neighbours", &stats::neighbours)
      .def_readonly("parked", &stats::parked)
      .def_readonly("sockets", &stats::sockets)
      .def_readonly("address_conflicts", &stats::address_conflicts)
      .def_readonly("lock_acquisitions", &stats::lock_acquisitions)
      .def_readonly("rx_fast", &stats::rx_fast)
      .def_readonly("rx_kernel", &stats::rx_kernel)
      .def_readonly("tx_fast", &stats::tx_fast)
      .def_readonly("tx_kernel", &stats::tx_kernel)
      .def_readonly("sockets_fast", &stats::sockets_fast)
      .def_readonly("sockets_kernel", &stats::sockets_kernel);
}

}  // namespace

void add_stack(py::module_& module) {
  add_info(module);
  add_stats(module);
  py::class_<stack>(module, "Stack", "One host: a link, its addresses, routes and neighbours.")
      .def(py::init<const std::string&, bool, std::uint64_t, std::uint32_t, std::uint32_t>(), py::arg("uri"),
           py::kw_only(), py::arg("hand_clock") = false, py::arg("seed") = 0, py::arg("neighbours") = 0,
           py::arg("spin_us") = 0)
      .def("close", &stack::close, "Closes its sockets, then itself; OSError(EBUSY) while frames are borrowed.")
      .def("socket", &stack::open_udp, py::arg("family") = AF_INET,
           "Opens a UDP socket, of socket.AF_INET or AF_INET6.")
      .def("add_address", &stack::add_address, py::arg("prefix"), "Adds an address such as 10.0.0.1/24.")
      .def("remove_address", &stack::remove_address, py::arg("address"))
      .def("add_route", &stack::add_route, py::arg("prefix"), py::arg("gateway") = py::none(),
           "Routes a prefix to a gateway, or on-link without one.")
      .def("remove_route", &stack::remove_route, py::arg("prefix"))
      .def("add_neighbour", &stack::add_neighbour, py::arg("address"), py::arg("mac"), "Adds a permanent neighbour.")
      .def("remove_neighbour", &stack::remove_neighbour, py::arg("address"))
      .def("get_neighbour", &stack::get_neighbour, py::arg("address"), "(MAC, state), or None when it isn't known.")
      .def("poll", &stack::poll, py::arg("budget") = 0, "Does the work that is due; how many frames it took.")
      .def("wait", &stack::wait, py::arg("timeout") = py::none(), "Whether polling may find work, within seconds.")
      .def("fileno", &stack::fileno, "A descriptor that is readable when polling may find work.")
      .def("deadline", &stack::deadline, "Nanoseconds until polling is necessary, or None.")
      .def("set_time", &stack::set_time, py::arg("now"), "Sets the hand-held clock, in nanoseconds.")
      .def("info", &stack::info)
      .def("stats", &stack::stats)
      .def("drops", &stack::drops, "How many packets were dropped, by reason.")
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](stack& self, const py::args&) { self.close(); });
}

}  // namespace fastudp::python
