#pragma once
// Socket: one UDP socket on a stack.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "address.h"
#include "bytes.h"
#include "frame.h"
#include "message.h"
#include "state.h"

namespace fastudp::python {

class socket {
 public:
  explicit socket(std::shared_ptr<socket_state> state) : state_(std::move(state)) {}

  void close() { state_->socket.close(); }
  void bind(const fastudp_addr& address);
  void connect(const fastudp_addr& address);
  void disconnect();
  fastudp_addr local();
  fastudp_addr peer();
  void shutdown(int how);

  std::int64_t send(const bytes_view& data, int flags);
  std::int64_t sendto(const bytes_view& data, const fastudp_addr& to, int flags);
  std::int64_t sendmsg(const bytes_view& data, const control_list& control, const std::optional<fastudp_addr>& to,
                       int flags);
  int send_burst(const py::sequence& messages, int flags);
  py::bytes recv(std::size_t size, int flags);
  std::pair<py::bytes, std::optional<fastudp_addr>> recvfrom(std::size_t size, int flags);
  std::int64_t recv_into(const py::object& buffer, int flags);
  message recvmsg(std::size_t size, std::size_t control_size, int flags);
  std::vector<message> recv_burst(std::size_t count, std::size_t size, std::size_t control_size, int flags);

  std::vector<std::unique_ptr<frame>> borrow(std::size_t count, int flags);
  std::vector<std::unique_ptr<frame>> alloc(std::size_t count, std::uint32_t size);
  int submit(const std::vector<frame*>& frames, int flags);

  void set_option(int level, int name, const py::object& value);
  py::object get_option(int level, int name, std::optional<std::size_t> size);
  void set_timeout(std::optional<double> seconds);
  std::optional<double> get_timeout() const { return state_->timeout; }

  int poll();
  int wait(int events, std::optional<double> seconds);
  int fileno();
  std::string why() const;

 private:
  fastudp_socket* raw() const { return state_->socket.get(); }
  int with_mode(int flags) const { return state_->timeout == 0.0 ? flags | FASTUDP_DONTWAIT : flags; }
  // Passes on a result, or raises what `flags` make of its errno.
  std::int64_t checked_io(std::int64_t result, int flags) const;
  template <class Call>
  std::int64_t blocking(int flags, Call call);
  void checked_here(int result) const;
  std::vector<std::unique_ptr<frame>> take_frames(std::vector<fastudp_msg> msgs, std::size_t count);

  std::shared_ptr<socket_state> state_;
};

}  // namespace fastudp::python
