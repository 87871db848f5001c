#pragma once
// One host of a test: a fake link, a stack on it, UDP sockets on that, and the time in the hand.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "socket/udp_layer.h"
#include "stack/stack.h"
#include "support/fake_link.h"
#include "support/packets.h"
#include "unit/stack/stack_support.h"

namespace fastudp::test {

struct node_settings {
  std::uint32_t frames = 1024, mtu = 1500;
  buffer_limits limits = {};
  std::uint32_t neighbours = 1024;
  bool announce = false;
};

class node : private socket_events {
 public:
  // Host n is 10.0.0.n/24, on the link mac_of(n).
  explicit node(unsigned n, const node_settings& with = {})
      : device(mac_of(n), with.frames, with.mtu), sockets(count, *this, with.limits) {
    below = std::move(
        *stack::create(device, count, sockets, {.seed = n, .neighbours = with.neighbours, .announce = with.announce}));
    EXPECT_TRUE(sockets.open(*below));
    EXPECT_TRUE(below->add_address({address_of(n), 24}, now));
  }
  // When all sockets are closed and nothing waits any more, every packet is home.
  ~node() {
    if (device.peer != nullptr) device.peer->peer = nullptr;
    device.peer = nullptr;
    in_hand.clear();
    for (int i = 0; i < 8; ++i) run_at(now + 100 * second);
    EXPECT_EQ(below->store().in_use(), 0u) << "packets of the store were lost";
    below.reset();
    EXPECT_EQ(device.out(), 0u) << "packets of the link were lost";
  }
  node(const node&) = delete;
  node& operator=(const node&) = delete;

  static constexpr ipv4_address address_of(unsigned n) { return ipv4_address::from_number(0x0a000000 + n); }

  udp_socket& open() { return *in_hand.emplace_back(std::make_unique<udp_socket>(sockets)); }
  udp_socket& open(std::string_view address, std::uint16_t port) {
    udp_socket& made = open();
    EXPECT_TRUE(made.bind({ip(address), port}));
    return made;
  }
  void close(udp_socket& s) {
    std::erase_if(in_hand, [&](const auto& each) { return each.get() == &s; });
  }

  // Resolves host n without a word on the wire.
  void know(unsigned n) { EXPECT_TRUE(below->add_neighbour(address_of(n), mac_of(n))); }
  // All that is there to be done at this time.
  void run() {
    while (below->poll(now, burst::capacity) != 0) continue;
  }
  void run_at(time_point when) {
    now = when;
    run();
  }
  // An IP packet that comes in from the host that is next to us on the link.
  void hear(std::string_view ip_packet, unsigned from = 9) {
    hear_frame(ethernet_frame(device.info().mac, mac_of(from), ether_type::ipv4, ip_packet));
  }
  void hear_frame(std::string frame) {
    device.to_receive.push_back(std::move(frame));
    run();
  }

  status send(udp_socket& from, std::string_view payload, const endpoint_address* to = nullptr,
              const send_choices& choices = {}) {
    const auto outcome = from.send(octets(payload), to, choices, now);
    below->flush(now);
    return outcome;
  }
  status send(udp_socket& from, std::string_view payload, const endpoint_address& to,
              const send_choices& choices = {}) {
    return send(from, payload, &to, choices);
  }

  std::uint64_t drops(drop why) const { return dropped(count, why); }
  std::uint64_t drops() const { return dropped(count); }

  time_point now = second;
  counters count;
  fake_link device;
  udp_layer sockets;
  std::unique_ptr<stack> below;
  std::vector<std::unique_ptr<udp_socket>> in_hand;
  std::vector<udp_socket*> ready;  // as the layer told it

 private:
  void became_ready(udp_socket& socket) override { ready.push_back(&socket); }
};

// The oldest datagram's payload, taken out of the queue; nothing when none is there.
inline std::optional<std::string> receive(udp_socket& s) {
  packet* p = s.pop();
  if (p == nullptr) return std::nullopt;
  std::string out = bytes_of(p);
  release(p);
  return out;
}
inline std::vector<std::string> receive_all(udp_socket& s) {
  std::vector<std::string> out;
  while (auto one = receive(s)) out.push_back(*one);
  return out;
}

}  // namespace fastudp::test
