#pragma once
// What Stack, Socket and Frame share: a socket keeps its stack open, a frame keeps its socket open.

#include <memory>
#include <vector>

#include "handle.h"

namespace fastudp::python {

struct socket_state;

struct stack_state {
  stack_handle stack;
  bool hand_clock = false;
  std::vector<std::weak_ptr<socket_state>> sockets;
};

struct socket_state {
  explicit socket_state(std::shared_ptr<stack_state> of) : owner(std::move(of)) {}

  std::shared_ptr<stack_state> owner;  // before the socket, so that it outlives it
  socket_handle socket;
  std::optional<double> timeout;
};

std::shared_ptr<socket_state> open_socket(const std::shared_ptr<stack_state>& stack, int family);

}  // namespace fastudp::python
