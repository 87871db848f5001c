#pragma once
// A socket as a program has it: a UDP socket on the stack, with blocking calls, a descriptor and borrowed frames.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/reason.h"
#include "base/result.h"
#include "endpoint/engine.h"
#include "endpoint/kernel_half.h"
#include "endpoint/message.h"
#include "socket/udp_socket.h"

namespace fastudp {

class control_writer;

class endpoint {
 public:
  explicit endpoint(engine& h, ip_family family = ip_family::v4) : engine_(h), socket_(h.sockets(), family) {
    socket_.tag = this;
    unshared_.is_fast.store(true, std::memory_order_relaxed);
  }
  ip_family family() const { return socket_.family(); }
  // Of a kernel socket that can become a companion; the errors of one that can't.
  static result<ip_family> family_of(int kernel_socket);
  // Gives it a companion, within a turn and before anything else: one of its own, or the program's (`adopted` >= 0),
  // which shows what it is bound to and how it is set already.
  status open_companion(engine::turn& t, int adopted);
  endpoint(const endpoint&) = delete;
  endpoint& operator=(const endpoint&) = delete;
  ~endpoint();

  // Each takes its turn on the stack. Errors as the C API says.
  status bind(endpoint_address where);
  status connect(endpoint_address peer);
  status disconnect();
  status shut_down(bool reading, bool writing);
  endpoint_address local();
  result<endpoint_address> peer();
  status set_option(int level, int name, std::span<const std::byte> value);
  result<std::size_t> get_option(int level, int name, std::span<std::byte> value);

  // ---- With a companion

  kernel_half* kernel() { return kernel_ ? &*kernel_ : nullptr; }
  const kernel_half* kernel() const { return kernel_ ? &*kernel_ : nullptr; }
  // Whether datagrams may take the fast path; otherwise all are the kernel's.
  bool is_fast() const { return shared_->is_fast.load(std::memory_order_acquire); }
  // Datagrams for it come in by the link, where the kernel would get them as well.
  bool is_diverted() const { return diverted_; }
  // The program's own filter, which isn't empty when it has attached one that we can run.
  const packet_filter& filter() const { return socket_.filter(); }
  bool has_foreign_filter() const { return has_foreign_filter_; }
  bool is_reached_at(const ip_address& address) const { return socket_.entry().covers(address); }
  flow place() const { return {socket_.local(), socket_.is_connected() ? socket_.peer() : endpoint_address{}}; }
  // To the kernel alone, for good. EOPNOTSUPP: no companion, or the stack is strict.
  status hand_over(kernel_reason why);
  // Datagrams that the caller moved through the companion himself.
  void count_kernel(std::uint64_t received, std::uint64_t sent, kernel_reason why);
  // Of a socket that was handed over: datagrams that came before lie in its fast queue, and the error queue here has
  // something that the kernel doesn't know of.
  int leftovers() const;
  int readiness(time_point now, int asked);
  // The same, but only if something has come here after arrival `known`, which the last one becomes.
  int edge(std::int32_t& known, int asked, time_point now);
  void become_guest();
  // A call asks for what it has received: its reader is one that we see. Within a turn it also begins to receive here.
  void note_look() { looks_.store(looks::now, std::memory_order_relaxed); }
  void look(engine::turn& t) {
    note_look();
    if (is_idle_) [[unlikely]]
      join(t);
  }
  bool is_unseen() const { return looks_.load(std::memory_order_relaxed) == looks::none; }
  void leave_if_unseen(engine::turn& t);
  // As soon as another socket, which is the kernel's, is bound there.
  void leave_if_in_the_way_of(const endpoint_address& local);

  // ---- Among processes that share it

  // At a fork: whoever goes on reading it looks again.
  void forget_looks();
  // In a process that goes on with a stack of its own: nothing comes in here before it looks.
  void start_anew();
  // It has become the kernel's elsewhere, or another process receives by it, and none of our threads has looked since.
  bool is_others();
  // Whether it has datagrams that nobody has ever looked for, which is counted.
  bool notice_unseen();
  // First its claim goes, if it is here at all; then what had come until then goes to the kernel.
  bool begin_to_let_go();
  void let_go();

  endpoint* next = nullptr;  // the engine's list of those with a companion
  endpoint* previous = nullptr;

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
  // Bytes of the datagram that comes next (FIONREAD); 0 without one.
  std::uint32_t next_length();
  result<int> wait(int events, duration timeout);
  result<int> descriptor();
  // Why the last refused call was refused; empty when nothing was.
  reason why();

  // From the stack, inside somebody's turn.
  void became_ready();

  engine& home() { return engine_; }

 private:
  // One call of the program's.
  class own_turn : public engine::turn {
   public:
    explicit own_turn(endpoint& e) : turn(e.engine_) {
      if (e.engine_.is_guest()) [[unlikely]]
        e.become_guest();
    }
  };

  void share(bool is_new);
  void renew_descriptor();
  void join(engine::turn& t);
  void take_settings(engine::turn& t);
  bool is_left_unseen() const { return is_unseen() && diverted_ && socket_.has_datagram(); }
  void leave_shared();
  void disown(kernel_reason why);

  status check_owner() const;
  int fast_readiness() const;
  bool has_something();
  status check_leftovers(int flags, time_point now);
  result<std::size_t> take_leftovers(std::span<message> messages, int flags);
  void split_place();
  void join_place();
  bool has_fast_input() const { return socket_.has_datagram() || socket_.has_pending_error(); }
  bool has_datagram(int flags) const;
  bool has_input(time_point now, int flags);
  // The parts that deal with the companion are in endpoint_kernel.cpp. Within a turn, unless said otherwise.
  bool is_of_another_interface(const endpoint_address& where) const;
  status bind_both(engine::turn& t, const endpoint_address& where);
  status bind_companion(const endpoint_address& where);
  bool is_held_by_ours(const endpoint_address& where) const;
  status bind_here_alone(const endpoint_address& where);
  status connect_both(engine::turn& t, const endpoint_address& peer);
  bool names_interface(const endpoint_address& peer) const;
  status disconnect_both(engine::turn& t);
  status ensure_bound(engine::turn& t);
  void settle(engine::turn& t);
  bool is_in_kernels_group(const endpoint_address& local) const;
  kernel_reason why_not_fast(const endpoint_address& local) const;
  bool is_refused_to_kernel(kernel_reason why) const;
  status prepare_to_divert(engine::turn& t);
  void divert();
  void undivert();
  void stop_diverting();
  status hand_over(engine::turn& t, kernel_reason why);
  void become_kernels(kernel_reason why, bool has_leftovers);
  void leave_to_kernel(kernel_reason why);
  void move_input_to_kernel();
  status set_both(engine::turn& t, int level, int name, std::span<const std::byte> value);
  // endpoint_filter.cpp
  static bool is_filter_option(int level, int name);
  status set_filter_option(engine::turn& t, int name, std::span<const std::byte> value);
  status attach_filter(engine::turn& t, std::span<const std::byte> value);
  status detach_filter(std::span<const std::byte> value);
  status set_filter_alone(int name, std::span<const std::byte> value);
  status lock_filter(std::span<const std::byte> value);
  bool take_over_filter();
  static bool is_group_program(int level, int name);
  status set_group_program(engine::turn& t, int name, std::span<const std::byte> value);
  status choose_by(packet_filter&& program);
  status hand_over_group(engine::turn& t);
  result<std::size_t> get_filter(std::span<std::byte> value) const;
  status set_group_option(engine::turn& t, int level, int name, std::span<const std::byte> value);
  result<std::size_t> get_peer_name(std::span<std::byte> value);
  result<std::size_t> get_path_mtu(engine::turn& t, std::span<std::byte> value);
  result<std::size_t> get_both(engine::turn& t, int level, int name, std::span<std::byte> value);
  result<std::size_t> receive_from_kernel(std::span<message> messages, int flags);
  result<std::size_t> receive_from_peer(message& m, int flags);
  result<std::size_t> receive_and_count_drops(std::span<message> messages, int flags);
  result<std::size_t> receive_kernel_only(std::span<message> messages, int flags);  // without a turn
  result<std::size_t> borrow_from_kernel(std::span<message> messages);
  std::size_t borrow_fast(std::span<message> messages);
  result<std::size_t> receive_here(std::span<message> messages, int flags);
  std::size_t receive_reports(std::span<message> messages);  // without a turn
  error no_leftovers();
  result<std::size_t> send_by_kernel(std::span<message> messages, int flags, kernel_reason why);
  result<std::size_t> send_numbered(std::span<message> messages, int flags, std::uint32_t stamps);
  std::size_t count_segments(const message& m) const;
  status number_sends(engine::turn& t);
  void count_received(std::span<const message> messages);
  result<std::size_t> take_fast(std::span<message> messages, int flags);
  result<std::size_t> take(std::span<message> messages, int flags, time_point now);
  result<std::size_t> send_fast(std::span<message> messages, int flags, bool& to_kernel);
  result<std::size_t> send_some(std::span<message> messages, int flags, bool& goes_on);
  status refuse(const char* call, status outcome, endpoint_address about);
  status refuse_option(int level, int name, status outcome);
  duration patience(int flags) const;
  status wait_for_input(engine::turn& t, int flags, time_point& limit);
  void settle_descriptor();
  void end_of_input();
  void fill(message& m, packet& datagram);
  void describe(message& m, packet& datagram, std::uint32_t length) const;
  bool peek(message& m, int flags);
  int interface(const ip_address& destination) const;
  // The companion has a filter that keeps from it what the link brings.
  bool is_filtered() const { return engine_.with_host() == sharing::interface && !engine_.is_steered(); }
  void fill_control(message& m, packet& datagram) const;
  void put_place(control_writer& out, const packet& datagram) const;
  std::int64_t stamp_of(packet& datagram) const;
  void put_icmp(control_writer& out, const queued_error& e, std::span<const std::byte> quoted) const;
  void put_departure(control_writer& out, queued_error e, std::span<const std::byte> frame) const;
  status fill_error(message& m);
  status send_one(const message& m, int flags, time_point now);
  status send_frame(packet* frame, const message& m, const send_choices& choices, time_point now);
  bool completes_here(int flags) const;
  void complete_sends(std::uint32_t count);
  // In pieces.cpp.
  bool has_more(int flags) const { return (flags & message_flag::more) != 0 || socket_.settings().corked; }
  status send_piece(const message& m, const send_choices& choices, bool more, time_point now);
  status send_held_by_kernel(int flags);
  void give_held_to_kernel();
  void take_cork_out(engine::turn& t);
  status check_frame(const message& m) const;

  engine& engine_;
  udp_socket socket_;
  std::atomic<std::uint32_t> frames_out_{0};
  int descriptor_ = -1;
  bool descriptor_is_readable_ = false;
  reason why_;
  std::optional<kernel_half> kernel_;
  shared_socket unshared_{};
  shared_socket* shared_ = &unshared_;  // in memory that forked processes share, where there is any
  std::uint32_t joins_seen_ = 0;
  // The fast queue may hold something, also when the socket is the kernel's by now.
  std::atomic<bool> has_leftovers_{true};
  enum class looks : std::uint8_t { none, before, now };  // before: the last fork, or another process's first
  std::atomic<looks> looks_{looks::none};
  // Nothing comes in here until it looks.
  bool is_idle_ = false;
  bool is_being_let_go_ = false;
  std::atomic<bool> has_completed_{false};       // sends with MSG_ZEROCOPY, which the kernel doesn't know of
  std::atomic<bool> kernel_holds_{false};        // a datagram in pieces, of which it has had the first
  std::atomic<std::uint32_t> kernel_pieces_{0};  // of these, with MSG_ZEROCOPY
  // SO_TIMESTAMPING's, while what the kernel sends is numbered together with what we send.
  std::atomic<std::uint32_t> numbered_stamps_{0};
  bool diverted_ = false, kernel_first_ = false;
  bool times_sends_ = false;                               // SO_TXTIME
  bool filter_is_locked_ = false;                          // where there is no companion to know it
  bool has_foreign_filter_ = false;                        // adopted with one that only the kernel can run
  kernel_reason handed_over_for_ = kernel_reason::forked;  // unless this process has done it: another one has
  std::uint32_t kernels_drops_ = 0;                        // as of this call
};

}  // namespace fastudp
