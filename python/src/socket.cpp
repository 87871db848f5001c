#include "socket.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cmath>

namespace fastudp::python {
namespace {

// Room for a burst: one bytes object per message, and space for control messages when somebody wants them.
class receive_room {
 public:
  receive_room(std::size_t count, std::size_t size, std::size_t control_size)
      : control_(count * control_size), msgs_(count) {
    for (std::size_t i = 0; i < count; ++i) {
      data_.emplace_back(size);
      msgs_[i].data = data_[i].data();
      msgs_[i].size = static_cast<std::uint32_t>(size);
      msgs_[i].control = control_size > 0 ? control_.data() + i * control_size : nullptr;
      msgs_[i].control_len = static_cast<std::uint32_t>(control_size);
    }
  }

  fastudp_msg* msgs() { return msgs_.data(); }
  std::size_t count() const { return msgs_.size(); }

  message take(std::size_t i) {
    const auto& from = msgs_[i];
    auto control = from.control ? decode_control(from.control, from.control_len) : control_list{};
    return {data_[i].cut(from.size), from.peer, from.length, from.flags, std::move(control)};
  }

 private:
  std::vector<char> control_;
  std::vector<new_bytes> data_;
  std::vector<fastudp_msg> msgs_;
};

// A burst to send: (data, address) or data alone, for the connected peer.
struct outgoing {
  explicit outgoing(const py::sequence& messages) {
    for (const auto& each : messages) add(each);
  }

  void add(py::handle each) {
    fastudp_msg msg{};
    py::handle data = each;
    if (py::isinstance<py::tuple>(each)) {
      const auto pair = py::reinterpret_borrow<py::tuple>(each);
      if (pair.size() != 2) throw py::type_error("a message is data, or a tuple of data and address");
      data = pair[0];
      if (!py::object(pair[1]).is_none()) msg.peer = py::object(pair[1]).cast<fastudp_addr>();
    }
    views.emplace_back(data);
    msg.data = const_cast<void*>(views.back().data());
    msg.size = static_cast<std::uint32_t>(views.back().size());
    msgs.push_back(msg);
  }

  std::vector<bytes_view> views;
  std::vector<fastudp_msg> msgs;
};

timeval timeval_of(double seconds) {
  const auto microseconds = static_cast<std::int64_t>(std::ceil(seconds * 1e6));
  return {microseconds / 1000000, microseconds % 1000000};
}

}  // namespace

std::shared_ptr<socket_state> open_socket(const std::shared_ptr<stack_state>& stack, int family) {
  auto state = std::make_shared<socket_state>(stack);
  checked(fastudp_socket_open(stack->stack.get(), family, state->socket.out()));
  auto& all = stack->sockets;
  all.erase(std::remove_if(all.begin(), all.end(), [](const auto& each) { return each.expired(); }), all.end());
  all.push_back(state);
  return state;
}

std::int64_t socket::checked_io(std::int64_t result, int flags) const {
  if (result >= 0) return result;
  const bool timed_out = result == -EAGAIN && !(flags & FASTUDP_DONTWAIT) && !state_->owner->hand_clock;
  if (timed_out) raise_timeout();
  raise(static_cast<int>(-result), result == -EAGAIN ? std::string() : why());
}

void socket::checked_here(int result) const {
  if (result < 0) raise(-result, why());
}

template <class Call>
std::int64_t socket::blocking(int flags, Call call) {
  const int all = with_mode(flags);
  const auto bound = [&](fastudp_socket* at) { return static_cast<std::int64_t>(call(at, all)); };
  return checked_io(uninterrupted([&] { return state_->socket.unlocked(bound); }), all);
}

std::string socket::why() const {
  char text[256] = {};
  return fastudp_socket_why(raw(), text, sizeof text) > 0 ? text : "";
}

void socket::bind(const fastudp_addr& address) { checked_here(fastudp_socket_bind(raw(), &address)); }

void socket::connect(const fastudp_addr& address) { checked_here(fastudp_socket_connect(raw(), &address)); }

void socket::disconnect() { connect(fastudp_addr{}); }

fastudp_addr socket::local() {
  fastudp_addr address{};
  checked_here(fastudp_socket_local_addr(raw(), &address));
  return address;
}

fastudp_addr socket::peer() {
  fastudp_addr address{};
  checked_here(fastudp_socket_peer_addr(raw(), &address));
  return address;
}

void socket::shutdown(int how) { checked_here(fastudp_socket_shutdown(raw(), how)); }

std::int64_t socket::send(const bytes_view& data, int flags) {
  return blocking(
      flags, [&](fastudp_socket* at, int all) { return fastudp_sendto(at, data.data(), data.size(), all, nullptr); });
}

std::int64_t socket::sendto(const bytes_view& data, const fastudp_addr& to, int flags) {
  return blocking(flags,
                  [&](fastudp_socket* at, int all) { return fastudp_sendto(at, data.data(), data.size(), all, &to); });
}

std::int64_t socket::sendmsg(const bytes_view& data, const control_list& control, const std::optional<fastudp_addr>& to,
                             int flags) {
  auto encoded = encode_control(control);
  fastudp_msg msg{};
  msg.data = const_cast<void*>(data.data());
  msg.size = static_cast<std::uint32_t>(data.size());
  msg.peer = to.value_or(fastudp_addr{});
  msg.control = encoded.empty() ? nullptr : encoded.data();
  msg.control_len = static_cast<std::uint32_t>(encoded.size());
  blocking(flags, [&](fastudp_socket* at, int all) { return fastudp_send(at, &msg, 1, all); });
  return static_cast<std::int64_t>(data.size());
}

int socket::send_burst(const py::sequence& messages, int flags) {
  const outgoing burst(messages);
  return static_cast<int>(blocking(
      flags, [&](fastudp_socket* at, int all) { return fastudp_send(at, burst.msgs.data(), burst.msgs.size(), all); }));
}

py::bytes socket::recv(std::size_t size, int flags) { return recvfrom(size, flags).first; }

std::pair<py::bytes, std::optional<fastudp_addr>> socket::recvfrom(std::size_t size, int flags) {
  new_bytes room(size);
  fastudp_addr from{};
  const auto length =
      blocking(flags, [&](fastudp_socket* at, int all) { return fastudp_recvfrom(at, room.data(), size, all, &from); });
  auto data = room.cut(static_cast<std::size_t>(length));
  return {std::move(data), from.family == FASTUDP_UNSPEC ? std::nullopt : std::optional(from)};
}

std::int64_t socket::recv_into(const py::object& buffer, int flags) {
  const writable_view room(buffer);
  return blocking(
      flags, [&](fastudp_socket* at, int all) { return fastudp_recvfrom(at, room.data(), room.size(), all, nullptr); });
}

message socket::recvmsg(std::size_t size, std::size_t control_size, int flags) {
  auto all = recv_burst(1, size, control_size, flags);
  return all.empty() ? message{py::bytes(), {}, 0, 0, {}} : std::move(all.front());
}

std::vector<message> socket::recv_burst(std::size_t count, std::size_t size, std::size_t control_size, int flags) {
  receive_room room(count, size, control_size);
  const auto got =
      blocking(flags, [&](fastudp_socket* at, int all) { return fastudp_recv(at, room.msgs(), room.count(), all); });
  std::vector<message> messages;
  for (std::int64_t i = 0; i < got; ++i) messages.push_back(room.take(static_cast<std::size_t>(i)));
  return messages;
}

std::vector<std::unique_ptr<frame>> socket::take_frames(std::vector<fastudp_msg> msgs, std::size_t count) {
  std::vector<std::unique_ptr<frame>> frames;
  for (std::size_t i = 0; i < count; ++i) frames.push_back(std::make_unique<frame>(state_, msgs[i]));
  return frames;
}

std::vector<std::unique_ptr<frame>> socket::borrow(std::size_t count, int flags) {
  std::vector<fastudp_msg> msgs(count);
  const auto got =
      blocking(flags, [&](fastudp_socket* at, int all) { return fastudp_borrow(at, msgs.data(), msgs.size(), all); });
  return take_frames(std::move(msgs), static_cast<std::size_t>(got));
}

std::vector<std::unique_ptr<frame>> socket::alloc(std::size_t count, std::uint32_t size) {
  std::vector<fastudp_msg> msgs(count);
  for (auto& msg : msgs) msg.size = size;
  const int got = fastudp_alloc(raw(), msgs.data(), msgs.size());
  checked_here(got);
  return take_frames(std::move(msgs), static_cast<std::size_t>(got));
}

int socket::submit(const std::vector<frame*>& frames, int flags) {
  std::vector<fastudp_msg> msgs;
  for (const auto* each : frames) msgs.push_back(each->lend());
  const auto call = [&](fastudp_socket* at) { return fastudp_submit(at, msgs.data(), msgs.size(), with_mode(flags)); };
  const int sent = state_->socket.unlocked(call);
  for (std::size_t i = 0; i < frames.size(); ++i) frames[i]->give_back(msgs[i]);
  return static_cast<int>(checked_io(sent, with_mode(flags)));
}

void socket::set_option(int level, int name, const py::object& value) {
  if (py::isinstance<py::int_>(value)) {
    const int number = value.cast<int>();
    checked_here(fastudp_socket_set_option(raw(), level, name, &number, sizeof number));
    return;
  }
  const bytes_view bytes(value);
  checked_here(fastudp_socket_set_option(raw(), level, name, bytes.data(), bytes.size()));
}

py::object socket::get_option(int level, int name, std::optional<std::size_t> size) {
  if (size) {
    new_bytes room(*size);
    checked_here(fastudp_socket_get_option(raw(), level, name, room.data(), &*size));
    return room.cut(*size);
  }
  int number = 0;
  std::size_t length = sizeof number;
  checked_here(fastudp_socket_get_option(raw(), level, name, &number, &length));
  return py::int_(number);
}

void socket::set_timeout(std::optional<double> seconds) {
  if (seconds && !(*seconds >= 0)) throw py::value_error("a timeout is not negative");
  const auto time = timeval_of(seconds.value_or(0));
  checked_here(fastudp_socket_set_option(raw(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
  checked_here(fastudp_socket_set_option(raw(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time));
  state_->timeout = seconds;
}

int socket::poll() { return checked(fastudp_socket_poll(raw())); }

int socket::wait(int events, std::optional<double> seconds) {
  const timeout until(seconds);
  const auto call = [&](fastudp_socket* at) { return fastudp_socket_wait(at, events, until.left()); };
  return checked(uninterrupted([&] { return state_->socket.unlocked(call); }));
}

int socket::fileno() { return checked(fastudp_socket_fd(raw())); }

}  // namespace fastudp::python
