#pragma once
// UDP_CORK and MSG_MORE: one datagram that a program gives in pieces. What the first piece said of it holds for all.

#include <cstdint>
#include <span>
#include <utility>

#include "base/address.h"
#include "base/result.h"
#include "packet/packet.h"
#include "socket/send_choices.h"
#include "stack/frame_store.h"

namespace fastudp {

class cork {
 public:
  cork() = default;
  cork(const cork&) = delete;
  cork& operator=(const cork&) = delete;
  ~cork() { discard(); }

  bool is_holding() const { return held_ != nullptr; }
  // ENOBUFS.
  status begin(const endpoint_address& to, const send_choices& choices, frame_store& store);
  // Linux: connecting over IPv4 moves the goal of what is held, from whatever address goes with it.
  void redirect(const endpoint_address& to);
  // What Linux says of sending to a goal that can't be reached: nothing, as it found its way before that was set.
  status excuse(status sent) const;
  // EMSGSIZE: more than a datagram takes.
  status add(std::span<const std::byte> piece, bool completes);
  // How many pieces of the datagram that is or was held are to be told as done (MSG_ZEROCOPY).
  std::uint32_t completes() const { return completes_; }
  // The caller sends and releases it.
  packet* take() { return std::exchange(held_, nullptr); }
  void discard();

  std::span<std::byte> payload() const { return held_->bytes(); }
  const endpoint_address& to() const { return to_; }
  const send_choices& choices() const { return choices_; }

 private:
  packet* held_ = nullptr;
  endpoint_address to_;
  send_choices choices_;
  bool is_redirected_ = false;
  std::uint32_t completes_ = 0;
};

}  // namespace fastudp
