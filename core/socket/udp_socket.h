#pragma once
// One UDP socket on the stack: RFC 768 and the rules of Linux's sockets. It never waits; who waits is the endpoint's
// affair.

#include <cstdint>
#include <span>

#include "base/result.h"
#include "base/time.h"
#include "socket/cork.h"
#include "socket/datagram_row.h"
#include "socket/error_queue.h"
#include "socket/memberships.h"
#include "socket/packet_filter.h"
#include "socket/port_table.h"
#include "socket/receive_queue.h"
#include "socket/send_choices.h"
#include "socket/settings.h"
#include "stack/path.h"

namespace fastudp {

class udp_layer;

// Instead of an errno, from sending on a socket that has a companion: this datagram is the kernel's to send.
inline constexpr int left_to_kernel = 4096;  // beyond the last errno

class udp_socket {
 public:
  explicit udp_socket(udp_layer& layer, ip_family family = ip_family::v4);
  udp_socket(const udp_socket&) = delete;
  udp_socket& operator=(const udp_socket&) = delete;
  ~udp_socket();

  status bind(endpoint_address where);
  // The same where the kernel has found that it may, whoever else is there.
  void take_place(const endpoint_address& where);
  status connect(endpoint_address peer, time_point now);
  void disconnect();
  // The port that it is bound to isn't the program's choice: disconnecting gives it back.
  void port_was_given() { port_is_chosen_ = false; }
  // Takes the place that the kernel has given its companion; from then on the kernel sends what the stack shouldn't.
  // Port 0: none. `peer`, if not null, is what it is connected to.
  void follow(const endpoint_address& local, const endpoint_address* peer);
  // There is a companion: what the stack can't send gives left_to_kernel, for the reason that why_kernel() tells then.
  void lean_on_kernel() { has_companion_ = true; }
  bool leans_on_kernel() const { return has_companion_; }
  // Only the companion can get there.
  bool is_kernels_by_address(const endpoint_address& to) const;
  kernel_reason why_kernel() const { return why_kernel_; }
  // ENOTCONN when not connected; it is shut down all the same.
  status shut_down(bool reading, bool writing);

  ip_family family() const { return family_; }
  // IPV6_V6ONLY; EINVAL: it is bound already.
  status set_v6_only(bool only);
  endpoint_address local() const { return entry_.local; }
  endpoint_address peer() const { return entry_.remote; }
  bool is_connected() const { return entry_.connected; }
  bool is_shut_for_reading() const { return shut_reading_; }
  bool is_shut_for_writing() const { return shut_writing_; }

  // Sends a copy of the payload. `to` is null for the connected peer. Errors as fastudp_send says.
  status send(std::span<const std::byte> payload, const endpoint_address* to, const send_choices& choices,
              time_point now);
  // Sends a packet that holds the payload already, with headroom for all headers. Takes ownership when it succeeds.
  status send_packet(packet* payload, const endpoint_address* to, const send_choices& choices, time_point now);

  // A piece of a datagram that is held back while there is `more` to come. left_to_kernel: of the first, the kernel has
  // to hold it; of the last, all of it is still held, and the kernel's to send.
  status send_piece(std::span<const std::byte> payload, const endpoint_address* to, const send_choices& choices,
                    bool more, time_point now);
  // What is held goes.
  status push(time_point now);
  cork& held() { return cork_; }
  const cork& held() const { return cork_; }

  // The oldest datagram, or null; behind it those that are read together with it. pop() gives it alone to the caller.
  packet* front() const { return received_.front(); }
  packet* pop() { return received_.pop_lazily(settings_.receive_buffer); }
  // The oldest has been read, with all that go with it.
  void release_front();
  // The one that a reader who only looks gets: with SO_PEEK_OFF the one that so many bytes into the queue lies in, and
  // how far in. Null: none.
  packet* peek(std::uint32_t& offset) const;
  // Of all that was received.
  std::size_t bytes_waiting() const;
  // So many bytes were read, or only looked at: SO_PEEK_OFF moves with them.
  void moved_by(std::int64_t bytes);
  error_queue& errors() { return errors_; }
  // The oldest of the error queue, as error_queue::pop gives it. As on Linux, the pending error is then that of the
  // next, or none.
  packet* pop_error(queued_error& what);
  // So many sends with MSG_ZEROCOPY are done. They are numbered in their order.
  void complete_sends(std::uint32_t count,
                      bool copied = true);  // The pending error, as a positive errno or 0; it is cleared.
  int take_error();
  bool has_pending_error() const { return pending_error_ != 0; }
  bool errors_waiting() const { return !errors_.empty(); }
  bool has_datagram() const { return !received_.empty(); }
  void set_aside() { received_.set_aside(); }
  // The number of the last that came, be it a datagram, an error or a shutdown; never negative.
  std::int32_t last_arrival() const { return static_cast<std::int32_t>(arrivals_ & INT32_MAX); }
  // The next datagram is an event, though there may be others before it.
  void announce_next_arrival() { announces_next_ = true; }

  // Says what is received from now on, and how much of it; an empty one all.
  void set_filter(packet_filter&& filter) { filter_ = std::move(filter); }
  const packet_filter& filter() const { return filter_; }

  // From the layer. A datagram that is not wanted after all is dropped with its reason.
  void accept(packet* datagram);
  void lose() { ++drops_; }
  // How many datagrams this socket has lost.
  std::uint32_t drops() const { return drops_; }
  void report(const icmp_report& what);

  // Whether a datagram to a group, of which other sockets may be the members, is for this one too.
  bool hears(const ip_address& group, const ip_address& source) const;
  // UDP_GRO.
  void receive_joined(bool wanted);
  memberships& groups() { return groups_; }
  void leave_groups(time_point now);
  udp_socket* next_member = nullptr;  // the layer's list of those that are in groups

  // The path MTU to the connected peer (IP_MTU).
  result<std::uint32_t> path_mtu(time_point now);
  // Whether the path to the peer that it is connected to has been looked up, since it was to be forgotten.
  bool knows_path() const;
  void forget_path() { path_ = {}; }

  socket_settings& settings() { return settings_; }
  const socket_settings& settings() const { return settings_; }
  port_entry& entry() { return entry_; }
  const port_entry& entry() const { return entry_; }
  udp_layer& layer() { return layer_; }
  const udp_layer& layer() const { return layer_; }
  void* tag = nullptr;  // the endpoint's own

 private:
  struct departure {
    endpoint_address to;
    path* way;
    ip_choices ip;
    std::uint32_t segment;  // bytes of each datagram but the last; 0: there is but one
    std::uint32_t stamps;   // to be reported when it is gone
    std::int64_t stamp_id;
  };
  // Linux checks the pieces of one datagram as they come, and the whole when it goes; one that can't be read before it
  // is cut up.
  enum class extent : std::uint8_t { whole, unreadable, first_piece, all_pieces };
  result<departure> prepare(std::size_t size, const endpoint_address* to, const send_choices& choices, time_point now,
                            extent of = extent::whole);
  status send_whole(std::span<const std::byte> payload, const endpoint_address* to, const send_choices& choices,
                    time_point now);
  status push_held(time_point now);
  status check_next_piece(std::size_t size, time_point now);
  send_choices choices_to_hold(const departure& by, const send_choices& choices) const;
  status bind_ephemeral();
  bool is_of_many(const ip_address& address) const;
  void note_bound(const endpoint_address& where);
  bool keep(packet* datagram, std::uint32_t charged_for);
  bool passes_filter(packet& datagram);
  void arrived();
  bool is_by_another_interface(const send_choices& choices, const ip_address& destination) const;
  ip_address source_for(const ip_address& destination, const send_choices& choices) const;
  bool is_the_kernels(const path& way, const endpoint_address& to, std::size_t total);
  result<path*> path_to(ip_address destination, ip_address source, time_point now);
  status check_family(const ip_address& address) const;
  bool wants_errors(bool of_v4) const { return of_v4 ? settings_.receive_errors : settings_.v6.receive_errors; }
  ip_choices choices_v6(const path& way, const send_choices& choices) const;
  ip_choices choices_for(const path& way, const send_choices& choices, std::size_t total) const;
  status check_size(const path& way, const ip_choices& ip, bool in_segments, std::size_t total,
                    const endpoint_address& to);
  status check_segments(const path& way, const ip_choices& ip, std::size_t size, std::size_t segment) const;
  error refuse_segments(const send_choices& choices, const status& why);
  packet* datagram_of(const departure& by, std::span<const std::byte> payload);
  status send_segments(const departure& by, std::span<const std::byte> payload, time_point now);
  bool is_of_the_other_ip(const ip_address& destination) const;
  bool is_odd(const ip_address& destination) const;
  bool is_alone() const;
  bool is_kernels_to_judge(const send_choices& choices) const;
  bool is_on_link(const path& way) const;
  ip_family family_over(const ip_address& destination) const;
  error refuse_other_ip(const ip_address& destination, time_point now);
  endpoint_address destination_of(endpoint_address to) const;
  status check_destination(std::size_t size, const endpoint_address* to, bool is_out_of_band) const;
  status depart(const departure& by, packet* datagram, time_point now);
  status depart_stamped(const departure& by, packet* datagram, time_point now);
  void report_departure(const queued_error& what, packet* frame);
  std::uint32_t stamps_for(const send_choices& choices) const;
  bool is_left_to_link(const departure& by, std::uint32_t length) const;
  void write_header(const departure& by, packet* p, std::span<const std::byte> payload_to_copy);

  udp_layer& layer_;
  socket_settings settings_;
  port_entry entry_;
  receive_queue received_;
  datagram_row row_;  // the last of received_
  error_queue errors_;
  memberships groups_;
  cork cork_;
  path path_;
  ip_address source_;  // to send from; any: the path's choice
  ip_family family_;
  int pending_error_ = 0;
  std::uint32_t completed_sends_ = 0;
  std::uint32_t drops_ = 0;
  std::uint32_t arrivals_ = 0;
  bool announces_next_ = false;
  packet_filter filter_;
  kernel_reason why_kernel_{};
  bool has_companion_ = false;
  bool address_is_chosen_ = false, port_is_chosen_ = false;  // by bind, so that disconnecting keeps them
  bool shut_reading_ = false, shut_writing_ = false;
};

// Who sent a queued datagram; read from its headers.
endpoint_address sender_of(const packet& datagram);
}  // namespace fastudp
