#pragma once
// The AF_XDP sockets of a link, one for each queue, opened in the best mode that the device has.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/reason.h"
#include "base/result.h"
#include "link/link.h"
#include "link/steering.h"
#include "link/xdp/device.h"
#include "link/xdp/socket.h"

namespace fastudp::xdp {

enum class mode : std::uint8_t {
  zerocopy,  // the device receives into our frames
  copy,      // its driver runs the program, and the kernel copies what is ours
  generic,   // the kernel runs it behind any driver
};

struct plan {
  af_packet::interface_facts device;
  driver_facts driver;
  link_info info;
  std::span<const mode> modes;  // in the order in which they are tried
  std::uint32_t first_queue = 0, queues = 1;

  std::uint32_t longest_frame() const { return info.mtu + longest_link_header; }
};

class queues {
 public:
  // What was tried in vain is said in `way`, after what was got. EBUSY: another program has the interface, or a socket
  // a queue of it.
  static result<queues> open(const plan& by, steering& claims, reason& way, reason& why);

  std::span<socket> all() const { return {sockets_.get(), count_}; }
  // The one to send by.
  socket& first() const { return sockets_[0]; }
  const umem& memory() const { return memory_; }
  // They are another process's, and so are their rings; what lies in the memory stays where it is.
  void leave();

 private:
  static result<queues> open_in(mode how, const plan& by, steering& claims, reason& why);
  status open_socket(std::uint32_t number, mode how, const plan& by, steering& claims, reason& why);

  umem memory_;  // which the sockets use
  std::unique_ptr<socket[]> sockets_;
  std::size_t count_ = 0;
};

}  // namespace fastudp::xdp
