#pragma once
// What comes by the socket's own queue: with ring=off everything, otherwise what doesn't fit into a slot of the ring.

#include <memory>

#include "base/reason.h"
#include "base/result.h"
#include "link/packet/frame.h"

namespace fastudp::af_packet {

class socket_queue {
 public:
  // The socket tells of tags and checksums by PACKET_AUXDATA.
  static result<socket_queue> open(int socket, reason& why);

  // The next frame, if there is one; it is in memory of our own until the next call.
  bool next(received_frame& out);
  void give_back() {}
  bool is_empty() const;

 private:
  int socket_ = -1;
  std::unique_ptr<std::byte[]> room_;  // for the virtio-net header and the frame
};

}  // namespace fastudp::af_packet
