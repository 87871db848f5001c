#pragma once
// Frame: a buffer in the link's own memory, lent to Python. memoryview(frame) is the payload itself.

#include <fastudp.h>
#include <pybind11/pybind11.h>

#include "state.h"

namespace fastudp::python {

class frame {
 public:
  frame(std::shared_ptr<socket_state> owner, const fastudp_msg& msg)
      : owner_(std::move(owner)), msg_(msg), room_(msg.size) {}
  frame(const frame&) = delete;
  frame& operator=(const frame&) = delete;
  ~frame() { fastudp_release(&msg_, 1); }

  std::uint32_t size() const { return msg_.size; }
  void set_size(std::uint32_t size);
  fastudp_addr peer() const { return msg_.peer; }
  void set_peer(const std::optional<fastudp_addr>& peer) { msg_.peer = peer.value_or(fastudp_addr{}); }
  bool is_released() const { return msg_.frame == nullptr; }
  void release();

  // The message for a call that may take the frame, and what the call left of it. BufferError while memory of it is
  // seen through a memoryview.
  const fastudp_msg& lend() const;
  void give_back(const fastudp_msg& left) { msg_.frame = left.frame; }

  // Python's buffer protocol.
  static int get_buffer(PyObject* self, Py_buffer* view, int flags);
  static void release_buffer(PyObject* self, Py_buffer*);

 private:
  std::shared_ptr<socket_state> owner_;
  fastudp_msg msg_;
  std::uint32_t room_;
  int views_ = 0;
};

void add_frame(py::module_& module);

}  // namespace fastudp::python
