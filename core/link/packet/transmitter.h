#pragma once
// Sends frames by the mapped ring, or without one, joins those that can leave as super-packets, and counts what the
// device or the kernel doesn't take.

#include <optional>
#include <span>

#include "base/counters.h"
#include "link/packet/transmit_ring.h"
#include "link/super_packet.h"

namespace fastudp::af_packet {

class transmitter {
 public:
  // By `mapped`, or where there is none by messages on the socket, which outlives this and isn't the ring's own.
  // Super-packets, which don't fit into slots, are messages always.
  transmitter(int socket, std::optional<transmit_ring>&& mapped, bool joins, counters& count)
      : socket_(socket), ring_(std::move(mapped)), joiner_(joins), count_(count) {}

  // Sends nothing any more.
  void close() { ring_.reset(); }

  // A burst at most. The frames are the caller's again when this returns, whatever became of them.
  void send(std::span<packet* const> frames);

 private:
  struct outgoing;

  // Each of them returns how many frames went.
  std::size_t send_apart(std::span<packet* const> frames);
  std::size_t send_by_ring(std::span<packet* const> frames);
  std::size_t send_by_message(std::span<packet* const> frames);
  void send_joined(std::span<packet* const> frames, const joiner::division& sizes, std::size_t count);
  void lose(std::size_t frames, int problem);

  int socket_;
  std::optional<transmit_ring> ring_;
  joiner joiner_;
  counters& count_;
};

}  // namespace fastudp::af_packet
