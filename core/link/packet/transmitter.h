#pragma once
// Sends frames by the mapped ring, or without one, and counts what the device or the kernel doesn't take.

#include <optional>
#include <span>

#include "base/counters.h"
#include "link/packet/transmit_ring.h"

namespace fastudp::af_packet {

class transmitter {
 public:
  // By `mapped`, or where there is none by messages on the socket, which outlives this and isn't the ring's own.
  transmitter(int socket, std::optional<transmit_ring>&& mapped, counters& count)
      : socket_(socket), ring_(std::move(mapped)), count_(count) {}

  // Sends nothing any more.
  void close() { ring_.reset(); }

  // A burst at most. The frames are the caller's again when this returns, whatever became of them.
  void send(std::span<packet* const> frames);

 private:
  void send_by_ring(std::span<packet* const> frames);
  void send_by_message(std::span<packet* const> frames);
  void lose(std::size_t frames, int problem);

  int socket_;
  std::optional<transmit_ring> ring_;
  counters& count_;
};

}  // namespace fastudp::af_packet
