#pragma once
// What IP_RECVERR collects: each ICMP error about a datagram of ours, with the start of what it quoted. And what
// MSG_ZEROCOPY and SO_TIMESTAMPING ask for: the numbers of the sends that are done, and when they went.

#include <time.h>
// which the next one needs
#include <linux/errqueue.h>

#include <cstdint>

#include "socket/receive_queue.h"
#include "stack/frame_store.h"
#include "stack/sink.h"

namespace fastudp {

struct queued_error {
  int code = 0;             // errno
  std::uint8_t origin = 0;  // SO_EE_ORIGIN_ICMP, _ICMP6, _LOCAL, _ZEROCOPY or _TIMESTAMPING
  std::uint8_t type = 0, icmp_code = 0;
  std::uint32_t info = 0;          // the MTU of "too big" errors; the first of the sends; which stamp it is
  std::uint32_t data = 0;          // the last of the sends; of a stamp: the datagram's number
  endpoint_address destination{};  // of the datagram
  ip_address offender{};
  ip_facts message{};      // of the ICMP error; of a stamp: of the datagram itself, if it is there
  std::int64_t stamp = 0;  // when a datagram was sent

  bool is_icmp() const { return origin == SO_EE_ORIGIN_ICMP || origin == SO_EE_ORIGIN_ICMP6; }
  bool is_completion() const { return origin == SO_EE_ORIGIN_ZEROCOPY; }
  bool is_of_a_send() const { return is_completion() || origin == SO_EE_ORIGIN_TIMESTAMPING; }
};

class error_queue {
 public:
  bool empty() const { return queue_.empty(); }
  // Bounded by the receive buffer, like the datagrams; false: no room or no memory, and nothing is kept.
  bool push(const queued_error& what, std::span<const std::byte> payload, std::uint32_t limit, frame_store& store);
  // The sends from `first` to `last` are done; told together with those before them while nobody has read that.
  void complete(std::uint32_t first, std::uint32_t last, bool copied, std::uint32_t limit, frame_store& store);
  // The oldest, with the quoted payload; null when there is none. The caller releases the packet.
  packet* pop(queued_error& what);
  // What pop would give; false when there is none.
  bool peek(queued_error& what) const;
  // What was told of the program's own sends stays.
  void forget_errors();
  void release_all() { queue_.release_all(); }

 private:
  receive_queue queue_;
};

}  // namespace fastudp
