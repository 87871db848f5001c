#pragma once
// What a socket with an address of our own lets in, so that nobody is woken for what isn't ours: frames to our MAC
// address, to all, and to the groups that the stack is in. The device is asked for the same.

#include <array>
#include <cstdint>

#include "base/address.h"
#include "base/reason.h"
#include "base/result.h"

namespace fastudp::af_packet {

class own_filter {
 public:
  // The socket outlives this.
  own_filter(int socket, int interface, const mac_address& mac) : socket_(socket), interface_(interface), mac_(mac) {}

  status attach(reason& why) const;
  void admit(const mac_address& group, bool wanted);

 private:
  static constexpr std::size_t most_groups = 64;  // of more, all are let in
  struct admitted {
    mac_address group;
    std::uint32_t times = 0;
  };
  admitted* find(const mac_address& group);
  bool note(const mac_address& group, bool wanted);

  int socket_, interface_;
  mac_address mac_;
  std::array<admitted, most_groups> groups_{};
  std::size_t count_ = 0;
  std::uint32_t unlisted_ = 0;
};

}  // namespace fastudp::af_packet
