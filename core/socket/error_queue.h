#pragma once
// What IP_RECVERR collects: each ICMP error about a datagram of ours, with the start of what it quoted. And what
// MSG_ZEROCOPY asks for: the numbers of the sends that are done.

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
  std::uint8_t origin = 0;  // SO_EE_ORIGIN_ICMP, _ICMP6, _LOCAL or _ZEROCOPY
  std::uint8_t type = 0, icmp_code = 0;
  std::uint32_t info = 0;          // the MTU of "too big" errors; the first of the sends
  std::uint32_t data = 0;          // the last of the sends
  endpoint_address destination{};  // of the datagram
  ip_address offender{};
  ip_facts message{};  // of the ICMP error

  bool is_icmp() const { return origin == SO_EE_ORIGIN_ICMP || origin == SO_EE_ORIGIN_ICMP6; }
  bool is_completion() const { return origin == SO_EE_ORIGIN_ZEROCOPY; }
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
  void release_all() { queue_.release_all(); }

 private:
  receive_queue queue_;
};

}  // namespace fastudp
