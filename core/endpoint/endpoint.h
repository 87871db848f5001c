#pragma once
// A socket as a program has it: a UDP socket on the stack, with blocking calls, a descriptor and borrowed frames.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/reason.h"
#include "base/result.h"
#include "endpoint/engine.h"
#include "socket/udp_socket.h"

namespace fastudp {

// Linux's numbers, so that they pass through unchanged.
namespace message_flag {
inline constexpr int peek = 0x2, control_truncated = 0x8, truncated = 0x20, dont_wait = 0x40, confirm = 0x800,
                     error_queue = 0x2000, no_signal = 0x4000, wait_for_one = 0x10000;
}
namespace message_flag {
// Ours: the rest of a burst, of which something has been received. A pending error is then left for the next call.
inline constexpr int continued = 1 << 30;
}  // namespace message_flag
namespace ready {
inline constexpr int readable = 0x1, writable = 0x4, error = 0x8, hang_up = 0x10;
}

// One datagram on its way from or to a program.
struct message {
  std::span<std::byte> data;  // room, or the payload
  std::uint32_t length = 0;   // received: the whole datagram's
  endpoint_address peer;
  bool has_peer = false;         // to send: `peer` is the destination
  std::span<std::byte> control;  // control messages, or room for them
  int flags = 0;
  packet* frame = nullptr;  // borrowed
};

class endpoint {
 public:
  explicit endpoint(engine& h) : engine_(h), socket_(h.sockets()) { socket_.tag = this; }
  endpoint(const endpoint&) = delete;
  endpoint& operator=(const endpoint&) = delete;
  ~endpoint();

  // Each takes its turn on the stack. Errors as the C API says.
  status bind(endpoint_address where);
  status connect(endpoint_address peer);
  void disconnect();
  status shut_down(bool reading, bool writing);
  endpoint_address local();
  result<endpoint_address> peer();
  status set_option(int level, int name, std::span<const std::byte> value);
  result<std::size_t> get_option(int level, int name, std::span<std::byte> value);

  // Copies. Sets in each message what the C API says of it. Returns how many.
  result<std::size_t> send(std::span<message> messages, int flags);
  result<std::size_t> receive(std::span<message> messages, int flags);
  // Without copies.
  result<std::size_t> borrow(std::span<message> messages, int flags);
  result<std::size_t> allocate(std::span<message> messages);
  result<std::size_t> submit(std::span<message> messages, int flags);
  // Any thread, without a turn. The packet came from borrow or allocate of any endpoint.
  static void give_back(packet* borrowed);
  bool has_frames_out() const { return frames_out_.load(std::memory_order_acquire) != 0; }

  int poll();
  result<int> wait(int events, time_point limit);
  result<int> descriptor();
  // Why the last refused call was refused; empty when nothing was.
  reason why();

  // From the stack, inside somebody's turn.
  void became_ready();

  engine& home() { return engine_; }

 private:
  int readiness() const;
  bool has_something() const;
  bool has_input() const;
  status refuse(const char* call, status outcome, endpoint_address about);
  status refuse_option(int level, int name, status outcome);
  status wait_for_input(engine::turn& t, int flags);
  void settle_descriptor();
  void end_of_input();
  void fill(message& m, packet& datagram);
  void describe(message& m, const packet& datagram) const;
  void fill_control(message& m, const packet& datagram) const;
  status fill_error(message& m);
  status send_one(const message& m, int flags, time_point now);
  status check_frame(const message& m) const;

  engine& engine_;
  udp_socket socket_;
  std::atomic<std::uint32_t> frames_out_{0};
  int descriptor_ = -1;
  bool descriptor_is_readable_ = false;
  reason why_;
};

}  // namespace fastudp
