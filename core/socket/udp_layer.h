#pragma once
// All UDP sockets of one stack: the sink of its datagrams and of its errors.

#include "base/counters.h"
#include "base/result.h"
#include "socket/packet_filter.h"
#include "socket/port_table.h"
#include "socket/settings.h"
#include "socket/udp_socket.h"
#include "stack/sink.h"
#include "stack/stack.h"

namespace fastudp {

class socket_events {
 public:
  // A datagram came to a socket that had none or announces it, or an error to any. Inside poll or flush: only takes a
  // note.
  virtual void became_ready(udp_socket& socket) = 0;
  // An ICMP error came in for a socket whose errors are the kernel's to tell.
  virtual void kernel_has_error(udp_socket&) {}
  // Nanoseconds of CLOCK_REALTIME, for time stamps: asked once for a burst, and only when somebody wants them.
  virtual std::int64_t wall_time() { return 0; }
  // The error that the kernel has pending for it; 0: none that anybody knows of.
  virtual int take_kernel_error(udp_socket&, time_point) { return 0; }
  // The kernel holds datagrams for a socket that one on the fast path would overtake.
  virtual bool kernel_is_ahead(udp_socket&) { return false; }

 protected:
  ~socket_events() = default;
};

class udp_layer final : public datagram_sink {
 public:
  udp_layer(counters& count, socket_events& events, const buffer_limits& limits)
      : count_(count), events_(events), limits_(limits) {}

  // The stack below; layer and stack need each other, so one of them learns of the other later.
  status open(stack& below);

  void deliver(std::span<arrival> arrivals, time_point now) override;
  bool report(const icmp_report& what) override;

  // What all sockets together want of a group has changed by this one. ENOBUFS: the stack is in too many.
  status listen(udp_socket& member, const ip_address& group, time_point now);
  void forget_member(udp_socket& member);

  stack& below() { return *below_; }
  port_table& ports() { return ports_; }
  counters& count() { return count_; }
  socket_events& events() { return events_; }
  const buffer_limits& limits() const { return limits_; }
  // Which burst of datagrams is being delivered.
  std::uint64_t burst() const { return burst_; }

  // A datagram as a filter sees it, from so many bytes before its payload on.
  filter_input filter_input_of(const packet& datagram, std::uint32_t before);

  // One socket more wants to know when its datagrams come, or one less.
  void want_stamps(bool more) { more ? ++stamp_users_ : --stamp_users_; }
  bool stamps() const { return stamp_users_ != 0; }

 private:
  bool deliver_to_group(const arrival& datagram);
  port_entry* next_of_group(const arrival& datagram, const port_entry* previous) const;
  packet* keep(packet* datagram);
  void stamp(std::span<arrival> arrivals);

  counters& count_;
  socket_events& events_;
  buffer_limits limits_;
  stack* below_ = nullptr;
  port_table ports_;
  udp_socket* members_ = nullptr;
  std::uint64_t burst_ = 0;
  std::uint32_t stamp_users_ = 0;
};

}  // namespace fastudp
