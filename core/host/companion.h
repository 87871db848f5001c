#pragma once
// The kernel's half of a socket: a UDP socket of Linux's that holds the port and the descriptor, and takes what the
// fast path doesn't.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/address.h"
#include "base/descriptor.h"
#include "base/result.h"

struct sock_filter;

namespace fastudp {

// One datagram through the kernel. Flags and control messages are Linux's own, untouched.
struct kernel_message {
  std::span<std::byte> data;     // to send: the payload; received: room, cut to what was stored
  std::span<std::byte> control;  // likewise
  endpoint_address peer;         // to send: where to, if has_peer; received: from whom
  bool has_peer = false;         // received: false at the end after a shutdown
  std::uint32_t length = 0;      // received: the datagram's own; with SO_PEEK_OFF only if `flags` ask for it
  int flags = 0;                 // received: msg_flags
};

class companion {
 public:
  // One call sends or receives no more.
  static constexpr std::size_t most_at_once = 64;

  // A socket of our own, or one that the program holds; that one stays the program's to close.
  static result<companion> open(ip_family family);
  // ENOTSOCK, EPROTONOSUPPORT, EAFNOSUPPORT: not a UDP socket.
  static result<companion> adopt(int socket);

  int number() const;
  ip_family family() const { return family_; }
  // Linux's own results.
  status bind(const endpoint_address& where);
  status connect(const endpoint_address& peer);
  status disconnect();
  status shut_down(int how);
  result<endpoint_address> local() const;
  result<endpoint_address> peer() const;
  status set_option(int level, int name, std::span<const std::byte> value);
  result<std::size_t> get_option(int level, int name, std::span<std::byte> value) const;
  // How many datagrams the kernel has lost for it.
  std::uint32_t drops() const;
  // Whether a control message may say by which number stamps of a datagram are told (SCM_TS_OPT_ID, Linux 6.13).
  bool takes_stamp_ids() const;
  // Also when it is shut, and readable for good.
  bool has_datagram() const;
  // Of the datagram that comes next; 0 without one. A pending error stays.
  std::uint32_t next_length() const;
  // SO_RCVBUF, as it is by now.
  std::uint32_t receive_buffer() const;
  // As Linux binds a socket that sends.
  void choose_port();
  // IPV6_V6ONLY, which binding to an address of IPv6 sets as well.
  bool is_v6_only() const;
  // An address as Linux has it, of which all that there is room for must be there: EINVAL.
  static result<std::size_t> write_name(const endpoint_address& name, ip_family family, std::span<std::byte> to);
  // To an address that isn't the host's.
  status bind_to_foreign(const endpoint_address& where);

  // Returns how many went, or the error of the first. `flags` are Linux's.
  result<std::size_t> send(std::span<kernel_message> messages, int flags);
  result<std::size_t> receive(std::span<kernel_message> messages, int flags);

  // Keeps from it what arrives on an interface for this host alone, since the fast path takes that there: a classic
  // filter, which goes with the socket wherever it goes. What is let in is `program`'s to judge, the program's own
  // filter, if it isn't empty. EBUSY: there is another one; E2BIG: together they are too long.
  status keep_out(int interface, std::span<const sock_filter> program);
  bool is_kept_out() const { return is_kept_out_; }
  // What a filter refuses counts as lost, and goes on to do so when the filter is gone.
  bool drops_are_lost() const { return !had_filter_; }
  // Ends that; `program` alone remains.
  void let_in(std::span<const sock_filter> program);
  // Takes off whatever filter there is.
  void detach();

 private:
  status attach(std::span<const sock_filter> filter);

  descriptor owned_;
  int number_ = -1;
  ip_family family_ = ip_family::v4;
  bool is_kept_out_ = false;
  bool had_filter_ = false;
  bool moves_by_bytes_ = false;  // SO_PEEK_OFF is set
};

}  // namespace fastudp
